/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The profile of Go's pprof (github.com/google/pprof, proto/profile.proto), gzipped. The field
 * numbers below are that file's. Sample types are in the order of Go's own heap profiles, so that
 * readers which know those by their place read these, too.
 */
#include "report/report.h"

#include "base/clock.h"
#include "base/intern.h"
#include "base/protobuf.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};
enum value_type_field { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum sample_field { SAMPLE_LOCATIONS = 1, SAMPLE_VALUES = 2, SAMPLE_LABEL = 3 };
enum label_field { LABEL_KEY = 1, LABEL_TEXT = 2, LABEL_NUMBER = 3 };
enum mapping_field {
	MAPPING_ID = 1,
	MAPPING_START = 2,
	MAPPING_LIMIT = 3,
	MAPPING_FILE = 5,
	MAPPING_BUILD_ID = 6,
	MAPPING_HAS_FUNCTIONS = 7,
	MAPPING_HAS_FILES = 8,
	MAPPING_HAS_LINES = 9,
	MAPPING_HAS_INLINED = 10,
};
enum location_field {
	LOCATION_ID = 1,
	LOCATION_MAPPING = 2,
	LOCATION_ADDRESS = 3,
	LOCATION_LINE = 4,
};
enum line_field { LINE_FUNCTION = 1, LINE_NUMBER = 2 };
enum function_field { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM = 3, FUNCTION_FILE = 4 };

/** A file at one place in memory. */
struct mapping {
	uint64_t bias; /**< what memory addresses have more than those of the file */
	uint64_t end;  /**< of the memory that frames were seen in */
	size_t file, build_id;
};

struct profile {
	struct ml_strbuf bytes; /**< the message, mappings and strings still missing */
	struct ml_intern strings, functions, locations, mapping_keys;
	ML_ARRAY(struct mapping) mappings;
	ML_ARRAY(uint64_t) stack; /**< locations of the sample in the making */
};

static size_t string_of(struct profile *profile, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf clean = {0};

	ml_utf8_clean(&clean, text ? text : "");
	return ml_intern_text(&profile->strings, ml_strbuf_text(&clean), NULL);
}

static void add_value_type(struct profile *profile, unsigned int field, const char *type,
			   const char *unit)
{
	ML_STRBUF_CLEANUP struct ml_strbuf message = {0};

	ml_protobuf_u64(&message, VALUE_TYPE_TYPE, string_of(profile, type));
	ml_protobuf_u64(&message, VALUE_TYPE_UNIT, string_of(profile, unit));
	ml_protobuf_message(&profile->bytes, field, &message);
}

/** Ids of messages count from 1: 0 is "none". */
static uint64_t mapping_of(struct profile *profile, const struct ml_report_frame *frame)
{
	struct mapping mapping = {
		.bias = frame->ip - frame->address,
		.file = string_of(profile, frame->module_path ? frame->module_path : frame->module),
		.build_id = string_of(profile, frame->build_id),
	};
	uint64_t key[] = {mapping.bias, mapping.file, mapping.build_id};
	bool is_new;
	size_t index = ml_intern_bytes(&profile->mapping_keys, key, sizeof(key), &is_new);

	if (is_new)
		*ml_array_push(&profile->mappings) = mapping;
	if (frame->ip >= profile->mappings.items[index].end)
		profile->mappings.items[index].end = frame->ip + 1;
	return index + 1;
}

static uint64_t function_of(struct profile *profile, const struct ml_report_frame *frame)
{
	uint64_t key[] = {string_of(profile, frame->symbol),
			  string_of(profile, frame->mangled ? frame->mangled : frame->symbol),
			  string_of(profile, frame->file)};
	ML_STRBUF_CLEANUP struct ml_strbuf message = {0};
	bool is_new;
	size_t id = ml_intern_bytes(&profile->functions, key, sizeof(key), &is_new) + 1;

	if (!is_new)
		return id;
	ml_protobuf_u64(&message, FUNCTION_ID, id);
	ml_protobuf_u64(&message, FUNCTION_NAME, key[0]);
	ml_protobuf_u64(&message, FUNCTION_SYSTEM, key[1]);
	ml_protobuf_u64(&message, FUNCTION_FILE, key[2]);
	ml_protobuf_message(&profile->bytes, PROFILE_FUNCTION, &message);
	return id;
}

/** @p content: all fields of the location but its id. */
static uint64_t location_of(struct profile *profile, const struct ml_strbuf *content)
{
	ML_STRBUF_CLEANUP struct ml_strbuf message = {0};
	bool is_new;
	size_t id = ml_intern_bytes(&profile->locations, ml_strbuf_text(content), content->length,
				    &is_new) +
		    1;

	if (!is_new)
		return id;
	ml_protobuf_u64(&message, LOCATION_ID, id);
	ml_strbuf_add(&message, ml_strbuf_text(content), content->length);
	ml_protobuf_message(&profile->bytes, PROFILE_LOCATION, &message);
	return id;
}

static void add_line(struct profile *profile, struct ml_strbuf *location,
		     const struct ml_report_frame *frame)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};

	ml_protobuf_u64(&line, LINE_FUNCTION, function_of(profile, frame));
	ml_protobuf_u64(&line, LINE_NUMBER, frame->line > 0 ? (uint64_t)frame->line : 0);
	ml_protobuf_message(location, LOCATION_LINE, &line);
}

/** A location without an address that says @p text. */
static void push_remark(struct profile *profile, const char *text)
{
	struct ml_report_frame frame = {.symbol = text};
	ML_STRBUF_CLEANUP struct ml_strbuf location = {0};

	add_line(profile, &location, &frame);
	*ml_array_push(&profile->stack) = location_of(profile, &location);
}

/** One location an address: the functions inlined there are its lines, innermost first. */
static void push_frames(struct profile *profile, const struct ml_report_site *site)
{
	for (size_t i = 0; i < site->frames.count; i++) {
		const struct ml_report_frame *frame = &site->frames.items[i];
		ML_STRBUF_CLEANUP struct ml_strbuf location = {0};

		ml_protobuf_u64(&location, LOCATION_MAPPING, mapping_of(profile, frame));
		ml_protobuf_u64(&location, LOCATION_ADDRESS, frame->ip);
		while (frame->is_inlined && i + 1 < site->frames.count) {
			add_line(profile, &location, frame);
			frame = &site->frames.items[++i];
		}
		if (frame->symbol)
			add_line(profile, &location, frame);
		*ml_array_push(&profile->stack) = location_of(profile, &location);
	}
}

static void add_label(struct profile *profile, struct ml_strbuf *sample, const char *key,
		      const char *text, uint64_t number)
{
	ML_STRBUF_CLEANUP struct ml_strbuf label = {0};

	ml_protobuf_u64(&label, LABEL_KEY, string_of(profile, key));
	ml_protobuf_u64(&label, LABEL_TEXT, text ? string_of(profile, text) : 0);
	ml_protobuf_u64(&label, LABEL_NUMBER, number);
	ml_protobuf_message(sample, SAMPLE_LABEL, &label);
}

static void start_sample(struct profile *profile, struct ml_strbuf *sample,
			 const uint64_t values[static 4])
{
	ml_protobuf_packed(sample, SAMPLE_LOCATIONS, profile->stack.items, profile->stack.count);
	ml_protobuf_packed(sample, SAMPLE_VALUES, values, 4);
	profile->stack.count = 0;
}

static void add_site(struct profile *profile, const struct ml_report *report,
		     const struct ml_report_site *site)
{
	uint64_t values[] = {site->allocs, site->alloc_bytes, site->count, site->bytes};
	ML_STRBUF_CLEANUP struct ml_strbuf sample = {0};
	char id[20];

	push_frames(profile, site);
	if (!site->frames.count)
		push_remark(profile, "[stack lost]");
	start_sample(profile, &sample, values);
	snprintf(id, sizeof(id), "%016" PRIx64, site->id);
	add_label(profile, &sample, "site", id, 0);
	add_label(profile, &sample, "verdict", ml_verdict_name(site->verdict.class), 0);
	if (!report->is_kernel) {
		add_label(profile, &sample, "pid", NULL, (uint64_t)site->pid);
		if (site->comm)
			add_label(profile, &sample, "process", site->comm, 0);
	}
	ml_protobuf_message(&profile->bytes, PROFILE_SAMPLE, &sample);
}

static void add_others(struct profile *profile, const struct ml_report *report)
{
	struct ml_report_others others = ml_report_others(report);
	uint64_t values[] = {others.allocs, others.alloc_bytes, others.count, others.bytes};
	ML_STRBUF_CLEANUP struct ml_strbuf sample = {0};

	if (!others.sites)
		return;
	push_remark(profile, "[other sites]");
	start_sample(profile, &sample, values);
	ml_protobuf_message(&profile->bytes, PROFILE_SAMPLE, &sample);
}

/**
 * Every mapping is said to have all names, known or not: pprof would otherwise look for the files
 * on the machine it runs on, which need not be the target's.
 */
static void add_mappings(struct profile *profile)
{
	for (size_t i = 0; i < profile->mappings.count; i++) {
		const struct mapping *mapping = &profile->mappings.items[i];
		ML_STRBUF_CLEANUP struct ml_strbuf message = {0};

		ml_protobuf_u64(&message, MAPPING_ID, i + 1);
		ml_protobuf_u64(&message, MAPPING_START, mapping->bias);
		ml_protobuf_u64(&message, MAPPING_LIMIT, mapping->end);
		ml_protobuf_u64(&message, MAPPING_FILE, mapping->file);
		ml_protobuf_u64(&message, MAPPING_BUILD_ID, mapping->build_id);
		for (unsigned int has = MAPPING_HAS_FUNCTIONS; has <= MAPPING_HAS_INLINED; has++)
			ml_protobuf_u64(&message, has, 1);
		ml_protobuf_message(&profile->bytes, PROFILE_MAPPING, &message);
	}
}

static void add_comments(struct profile *profile, const struct ml_report *report)
{
	ML_ARRAY(uint64_t) comments = {0};

	for (size_t i = 0; i < ML_COUNTER_COUNT; i++) {
		ML_STRBUF_CLEANUP struct ml_strbuf text = {0};

		if (!report->counters[i])
			continue;
		ml_report_add_caveat(&text, i, report->counters[i]);
		*ml_array_push(&comments) = string_of(profile, text.text);
	}
	ml_array_each (note, &report->notes)
		*ml_array_push(&comments) = string_of(profile, *note);
	ml_protobuf_packed(&profile->bytes, PROFILE_COMMENT, comments.items, comments.count);
	ml_array_free(&comments);
}

/** The period is what one sample stands for: a number of allocations or of bytes. */
static void add_header(struct profile *profile, const struct ml_report *report)
{
	bool is_bytes = report->sampling == ML_SAMPLING_BYTES;
	uint64_t time_ns =
		(uint64_t)report->time.tv_sec * ML_NS_PER_SECOND + (uint64_t)report->time.tv_nsec;

	string_of(profile, ""); /* string 0 has to be the empty one */
	add_value_type(profile, PROFILE_SAMPLE_TYPE, "alloc_objects", "count");
	add_value_type(profile, PROFILE_SAMPLE_TYPE, "alloc_space", "bytes");
	add_value_type(profile, PROFILE_SAMPLE_TYPE, "inuse_objects", "count");
	add_value_type(profile, PROFILE_SAMPLE_TYPE, "inuse_space", "bytes");
	ml_protobuf_u64(&profile->bytes, PROFILE_DEFAULT_SAMPLE_TYPE,
			string_of(profile, "inuse_space"));
	ml_protobuf_u64(&profile->bytes, PROFILE_TIME_NANOS, time_ns);
	ml_protobuf_u64(&profile->bytes, PROFILE_DURATION_NANOS,
			(uint64_t)(report->elapsed_s * (double)ML_NS_PER_SECOND));
	add_value_type(profile, PROFILE_PERIOD_TYPE, is_bytes ? "space" : "objects",
		       is_bytes ? "bytes" : "count");
	ml_protobuf_u64(&profile->bytes, PROFILE_PERIOD,
			report->sampling == ML_SAMPLING_ALL ? 1 : report->sampling_n);
}

/** Without a name and a time in the header: the same report gives the same bytes. */
static void write_gzip(FILE *out, const struct ml_strbuf *bytes)
{
	const int gzip_window = 15 + 16; /* zlib.h: 16 more asks for gzip */
	unsigned char buffer[16384];
	z_stream stream = {
		.next_in = (unsigned char *)bytes->text,
		.avail_in = (unsigned int)bytes->length,
	};
	int result;

	if (bytes->length > UINT32_MAX || deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
						       gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return;
	do {
		stream.next_out = buffer;
		stream.avail_out = sizeof(buffer);
		result = deflate(&stream, Z_FINISH);
		fwrite(buffer, 1, sizeof(buffer) - stream.avail_out, out);
	} while (result == Z_OK);
	deflateEnd(&stream);
}

/** The first mapping is the program: pprof takes the profile's name and build-id from it. */
static void add_program(struct profile *profile, const struct ml_report *report)
{
	if (!report->exe)
		return;
	ml_array_each (site, &report->sites) {
		ml_array_each (frame, &site->frames) {
			if (!frame->module_path || strcmp(frame->module_path, report->exe))
				continue;
			mapping_of(profile, frame);
			return;
		}
	}
}

static void write_pprof(FILE *out, const struct ml_report *report)
{
	struct profile profile = {0};

	add_header(&profile, report);
	add_program(&profile, report);
	for (size_t i = 0; i < ml_report_listed(report); i++)
		add_site(&profile, report, &report->sites.items[i]);
	add_others(&profile, report);
	add_comments(&profile, report);
	add_mappings(&profile);
	ml_array_each (string, &profile.strings.entries)
		ml_protobuf_bytes(&profile.bytes, PROFILE_STRING, string->bytes, string->length);
	write_gzip(out, &profile.bytes);

	ml_strbuf_free(&profile.bytes);
	ml_intern_free(&profile.strings);
	ml_intern_free(&profile.functions);
	ml_intern_free(&profile.locations);
	ml_intern_free(&profile.mapping_keys);
	ml_array_free(&profile.mappings);
	ml_array_free(&profile.stack);
}

const struct ml_report_format ml_report_pprof = {.name = "pprof", .write = write_pprof};
