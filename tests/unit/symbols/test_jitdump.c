/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/jitdump.h"

#include "symbols/symbolizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void put(int fd, const void *bytes, size_t size)
{
	assert_int_equal(write(fd, bytes, size), size);
}

static void put_u32(int fd, uint32_t value)
{
	put(fd, &value, sizeof(value));
}

static void put_u64(int fd, uint64_t value)
{
	put(fd, &value, sizeof(value));
}

static void put_header(int fd)
{
	const uint32_t words[] = {0x4a695444, 1, 40, 62, 0, 4711};

	put(fd, words, sizeof(words));
	put_u64(fd, 0);
	put_u64(fd, 0);
}

static void put_prefix(int fd, uint32_t id, uint32_t size)
{
	put_u32(fd, id);
	put_u32(fd, size);
	put_u64(fd, 0);
}

static void put_load(int fd, uint64_t address, uint64_t code_size, uint64_t index, const char *name)
{
	char code[64] = {0};

	put_prefix(fd, 0, (uint32_t)(56 + strlen(name) + 1 + sizeof(code)));
	put_u64(fd, 0);
	put_u64(fd, address);
	put_u64(fd, address);
	put_u64(fd, code_size);
	put_u64(fd, index);
	put(fd, name, strlen(name) + 1);
	put(fd, code, sizeof(code));
}

static void put_move(int fd, uint64_t from, uint64_t to, uint64_t code_size, uint64_t index)
{
	put_prefix(fd, 1, 64);
	put_u64(fd, 0);
	put_u64(fd, to);
	put_u64(fd, from);
	put_u64(fd, to);
	put_u64(fd, code_size);
	put_u64(fd, index);
}

static void assert_name(const struct ml_jitdump *dump, uint64_t ip, const char *name)
{
	const struct ml_jit_range *range = ml_jit_ranges_find(&dump->ranges, ip);

	if (!name) {
		assert_null(range);
		return;
	}
	assert_non_null(range);
	assert_string_equal(range->name, name);
}

static struct ml_jitdump fresh(void)
{
	return (struct ml_jitdump){.fd = memfd_create("jitdump", MFD_CLOEXEC)};
}

static void reads_loads_and_moves(void **state)
{
	struct ml_jitdump dump = fresh();

	put_header(dump.fd);
	put_load(dump.fd, 0x1000, 0x100, 1, "first");
	put_prefix(dump.fd, 2, 24); /* debug info */
	put_u64(dump.fd, 0);
	put_load(dump.fd, 0x2000, 0x80, 2, "Main.run(int)");
	put_move(dump.fd, 0x1000, 0x3000, 0x100, 1);
	put_move(dump.fd, 0x9000, 0x4000, 0x100, 77); /* never loaded */
	ml_jitdump_read(&dump);
	assert_name(&dump, 0x10ff, "first");
	assert_name(&dump, 0x1100, NULL);
	assert_name(&dump, 0x2010, "Main.run(int)");
	assert_name(&dump, 0x3000, "first");
	assert_name(&dump, 0x4000, NULL);
	assert_false(dump.is_damaged);
	ml_jitdump_deinit(&dump);
}

static void goes_on_where_it_was(void **state)
{
	struct ml_jitdump dump = fresh();

	ml_jitdump_read(&dump); /* empty */
	put_header(dump.fd);
	put_load(dump.fd, 0x1000, 0x100, 1, "old");
	put_prefix(dump.fd, 0, 60); /* a record that is being written */
	ml_jitdump_read(&dump);
	assert_name(&dump, 0x1000, "old");
	assert_int_equal(lseek(dump.fd, -16, SEEK_END), dump.position);
	put_load(dump.fd, 0x1000, 0x10, 2, "new");
	ml_jitdump_read(&dump);
	assert_name(&dump, 0x1000, "new");
	assert_name(&dump, 0x1010, "old");
	ml_jitdump_deinit(&dump);
}

static void stops_at_damage(void **state)
{
	struct ml_jitdump dump = fresh();

	put_header(dump.fd);
	put_load(dump.fd, 0x1000, 0x100, 1, "good");
	put_prefix(dump.fd, 0, 3);
	put_load(dump.fd, 0x2000, 0x100, 1, "behind");
	ml_jitdump_read(&dump);
	assert_true(dump.is_damaged);
	assert_name(&dump, 0x1000, "good");
	assert_name(&dump, 0x2000, NULL);
	ml_jitdump_deinit(&dump);
}

static void leaves_sizes_out_that_make_no_sense(void **state)
{
	struct ml_jitdump dump = fresh();

	put_header(dump.fd);
	put_load(dump.fd, 0x1000, 0, 1, "empty");
	put_load(dump.fd, UINT64_MAX - 1, 0x100, 2, "wraps");
	put_prefix(dump.fd, 0, 20); /* too short for a load */
	put_u32(dump.fd, 0);
	put_prefix(dump.fd, 1, 16); /* too short for a move */
	put_load(dump.fd, 0x5000, 0x10, 3, "");
	put_load(dump.fd, 0x6000, 0x10, 4, "last");
	ml_jitdump_read(&dump);
	assert_int_equal(dump.ranges.count, 1);
	assert_name(&dump, 0x6000, "last");
	ml_jitdump_deinit(&dump);
}

static void survives_garbage(void **state)
{
	unsigned int seed = 1;

	for (int round = 0; round < 200; round++) {
		struct ml_jitdump dump = fresh();

		put_header(dump.fd);
		put_load(dump.fd, 0x1000, 0x100, 1, "one");
		for (int i = 0; i < 300; i++)
			put_u32(dump.fd, (uint32_t)rand_r(&seed) >> (rand_r(&seed) % 32));
		ml_jitdump_read(&dump);
		assert_name(&dump, 0x1000, "one");
		ml_jitdump_deinit(&dump);
	}
}

static void knows_the_name(void **state)
{
	assert_true(ml_jitdump_is_name("/root/.debug/jit/x/jit-12.dump"));
	assert_false(ml_jitdump_is_name("/tmp/jit-.dump"));
	assert_false(ml_jitdump_is_name("/tmp/jit-1.dump2"));
	assert_false(ml_jitdump_is_name("/tmp/jit-1.dump/x"));
}

/* This process is the runtime: it maps its dump executable, as they do. */
static void finds_the_mapped_file(void **state)
{
	char path[64];
	struct ml_symbol_frames frames = {0};
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(false);

	snprintf(path, sizeof(path), "/tmp/jit-%d.dump", getpid());

	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	put_header(fd);
	put_load(fd, 0x700000001000, 0x100, 1, "compiled");

	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(page, MAP_FAILED);
	unlink(path); /* the mapping tells, not the path; and a name with " (deleted)" behind it */
	ml_symbolizer_jit(symbolizer, getpid(), getpid(), 0x700000001010, &frames);
	assert_string_equal(frames.list.items[0].symbol, "compiled");
	assert_int_equal(frames.list.items[0].offset, 0x10);
	munmap(page, 4096);
	close(fd);
	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_loads_and_moves),
		cmocka_unit_test(goes_on_where_it_was),
		cmocka_unit_test(stops_at_damage),
		cmocka_unit_test(leaves_sizes_out_that_make_no_sense),
		cmocka_unit_test(survives_garbage),
		cmocka_unit_test(knows_the_name),
		cmocka_unit_test(finds_the_mapped_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
