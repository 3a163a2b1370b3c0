/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/excerpts.h"

#include "base/file.h"
#include "base/intern.h"
#include "base/u64map.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_LIMIT    200
#define FILE_LIMIT     ((size_t)4 << 20)
#define EXCERPTS_LIMIT 600
/** Frames of a site that are worth it: leaks are made near the innermost ones. */
#define FRAMES_LIMIT 12
/** Lines before and behind the one that is meant. */
#define LINES_AROUND 4
#define LINE_LIMIT   200

struct source {
	char *text; /**< owned; NULL when it cannot be read */
	size_t length;
};

struct reader {
	struct ml_report *report;
	int (*open)(void *context, const char *file);
	void *context;
	struct ml_intern names;
	ML_ARRAY(struct source) files; /**< by number of its name */
	struct ml_u64map done;         /**< file and line */
};

/** The text of @p fd when it is one: no NUL in it, and not too long. */
static struct source read_text(int fd)
{
	struct source source = {0};
	struct stat info;

	if (fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size <= 0 ||
	    (uint64_t)info.st_size > FILE_LIMIT)
		return source;
	source.text = ml_alloc((size_t)info.st_size);
	while (source.length < (size_t)info.st_size) {
		ssize_t got = pread(fd, source.text + source.length,
				    (size_t)info.st_size - source.length, (off_t)source.length);

		if (got <= 0)
			break;
		source.length += (size_t)got;
	}
	if (memchr(source.text, '\0', source.length)) {
		free(source.text);
		source = (struct source){0};
	}
	return source;
}

static const struct source *source_of(struct reader *reader, const char *name, size_t *number)
{
	bool is_new;

	*number = ml_intern_text(&reader->names, name, &is_new);
	if (is_new) {
		struct source *source = ml_array_push(&reader->files);

		*source = (struct source){0};
		/* A relative name is relative to a folder that nobody knows. */
		if (*number < FILES_LIMIT && name[0] == '/') {
			ML_FD_CLEANUP int fd = reader->open(reader->context, name);

			if (fd >= 0)
				*source = read_text(fd);
		}
	}
	return &reader->files.items[*number];
}

/** The lines around @p line; NULL when the file has no such line. The caller's to free. */
static char *lines_around(const struct source *source, int line, int *first_line)
{
	const char *at = source->text, *end = source->text + source->length;
	struct ml_strbuf lines = {0};
	long last = (long)line + LINES_AROUND, number = 1;

	*first_line = line > LINES_AROUND ? line - LINES_AROUND : 1;
	for (; at < end && number <= last; number++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((stop ? stop : end) - at);

		if (number >= *first_line) {
			ml_strbuf_add(&lines, at, length < LINE_LIMIT ? length : LINE_LIMIT);
			ml_strbuf_putc(&lines, '\n');
		}
		at = stop ? stop + 1 : end;
	}
	if (number > line)
		return ml_strbuf_take(&lines);
	ml_strbuf_free(&lines);
	return NULL;
}

static void read_frame(struct reader *reader, const struct ml_report_frame *frame)
{
	const struct source *source;
	int first_line;
	size_t number;
	bool is_new;
	char *text;

	if (!frame->file || frame->line <= 0 || reader->report->excerpts.count >= EXCERPTS_LIMIT)
		return;
	source = source_of(reader, frame->file, &number);
	ml_u64map_put(&reader->done, (uint64_t)number << 32 | (uint32_t)frame->line, &is_new);
	if (!source->text || !is_new)
		return;
	text = lines_around(source, frame->line, &first_line);
	if (text)
		*ml_array_push(&reader->report->excerpts) =
			(struct ml_report_excerpt){.file = frame->file,
						   .line = frame->line,
						   .first_line = first_line,
						   .text = text};
}

static void read_sites(struct reader *reader, bool want_suspects)
{
	const struct ml_report *report = reader->report;

	for (size_t i = 0; i < ml_report_listed(report); i++) {
		const struct ml_report_site *site = &report->sites.items[i];
		bool is_suspect = site->verdict.class == ML_VERDICT_LEAK ||
				  site->verdict.class == ML_VERDICT_GROWING;

		for (size_t j = 0;
		     is_suspect == want_suspects && j < site->frames.count && j < FRAMES_LIMIT; j++)
			read_frame(reader, &site->frames.items[j]);
	}
}

void ml_excerpts_read(struct ml_report *report, int (*open)(void *context, const char *file),
		      void *context)
{
	struct reader reader = {.report = report, .open = open, .context = context};

	read_sites(&reader, true);
	read_sites(&reader, false);
	ml_array_each (file, &reader.files)
		free(file->text);
	ml_array_free(&reader.files);
	ml_intern_free(&reader.names);
	ml_u64map_free(&reader.done);
}
