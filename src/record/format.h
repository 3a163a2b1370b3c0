/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The numbers of a recording's format; docs/FORMAT.md describes it byte by byte.
 *
 * A recording is a header and batches, each with a checksum of its own. A batch holds items; the
 * item ML_ITEM_MOMENT makes what stands before it valid, so a recording that was cut off anywhere
 * has a last whole moment.
 */
#ifndef ML_RECORD_FORMAT_H
#define ML_RECORD_FORMAT_H

#define ML_RECORD_MAGIC      "memleak\x1a" /* 0x1a ends a text on terminals that mind it */
#define ML_RECORD_MAGIC_SIZE 8
#define ML_RECORD_HEADER     16
/** Another major version cannot be read; a minor one adds items and members that can be skipped. */
#define ML_RECORD_MAJOR 1
#define ML_RECORD_MINOR 0

#define ML_BATCH_HEADER 16
#define ML_BATCH_KIND   0xb1 /* the first byte of every batch */
#define ML_BATCH_ZSTD   1    /* flag: the content is one zstd frame */
/** A batch is ended when its content has reached this. */
#define ML_BATCH_FULL (1u << 20)
/** No content is larger. */
#define ML_BATCH_MAX (16u << 20)
/**
 * No content is more than this many times as large as what is stored: what would be is stored as it
 * is, so that the size of a recording bounds the work of reading it.
 */
#define ML_BATCH_RATIO 256

/** Kinds of items. What is above ML_ITEM_OPTIONAL and not known is skipped. */
enum ml_item {
	ML_ITEM_STRING = 1,
	ML_ITEM_MODULE = 2,
	ML_ITEM_LOCATION = 3,
	ML_ITEM_STACK = 4,
	ML_ITEM_PROCESS = 5,
	ML_ITEM_TARGET = 6,
	ML_ITEM_NEW_SITES = 7,
	ML_ITEM_GONE_SITES = 8,
	ML_ITEM_SITES = 9,
	ML_ITEM_BLOCKS = 10,
	ML_ITEM_FREED_BLOCKS = 11,
	ML_ITEM_MOMENT = 12,
	ML_ITEM_END = 13,
	ML_ITEM_OPTIONAL = 128,
	ML_ITEM_RESIDUES = 129,
	ML_ITEM_LIMIT = 130,
};

/** Entries of one item of sites or blocks. */
#define ML_ITEM_ENTRIES 4096

/* Bits of a location. */
#define ML_LOCATION_CALL        1 /* ip is a return address */
#define ML_LOCATION_INTERPRETER 2 /* runs the interpreted frames before it */

/* Bits of a target. */
#define ML_TARGET_KERNEL         1
#define ML_TARGET_LIMITED        2
#define ML_TARGET_BLOCKS         4
#define ML_TARGET_MANY_PROCESSES 8
#define ML_TARGET_BY_COUNT       16

/* Bits of a moment. */
#define ML_MOMENT_FINAL 1

/** Frames of one stack before and after inlined calls are added, and named frames of a location. */
#define ML_RECORD_DEPTH_MAX 1024
#define ML_LOCATION_NAMES   128

#endif
