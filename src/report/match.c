/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/match.h"

#include <inttypes.h>
#include <string.h>

static void add_builds(struct ml_intern *builds, const struct ml_report *report,
		       struct ml_intern *only)
{
	ml_array_each (site, &report->sites) {
		ml_array_each (frame, &site->frames) {
			if (frame->build_id && (!only || ml_intern_has(only, frame->build_id,
								       strlen(frame->build_id))))
				ml_intern_text(builds, frame->build_id, NULL);
		}
	}
}

void ml_match_init(struct ml_match *match, const struct ml_report *a, const struct ml_report *b)
{
	ML_INTERN_CLEANUP struct ml_intern first = {0};

	*match = (struct ml_match){0};
	add_builds(&first, a, NULL);
	add_builds(&match->builds, b, &first);
}

static bool is_common(const struct ml_match *match, const char *build_id)
{
	return build_id && ml_intern_has(&match->builds, build_id, strlen(build_id));
}

/* Texts in a key end in NUL, so that no two lists of texts are the same bytes. */
static void add_text(struct ml_strbuf *key, const char *text)
{
	ml_strbuf_puts(key, text ? text : "");
	ml_strbuf_putc(key, '\0');
}

static void add_names(struct ml_strbuf *key, const struct ml_report_frame *frame)
{
	ml_strbuf_putc(key, 'n');
	add_text(key, frame->symbol);
	/* The name of a Python function says little without its file. That of another does without
	 * its module, whose own name may have a version in it. */
	if (frame->kind == ML_FRAME_PYTHON)
		add_text(key, frame->file);
	else if (!frame->symbol)
		add_text(key, frame->module);
	/* JIT code lies elsewhere each time. */
	if (!frame->symbol && frame->kind == ML_FRAME_NATIVE)
		ml_strbuf_printf(key, "%" PRIx64, frame->offset);
}

void ml_match_key(const struct ml_match *match, const struct ml_report_site *site,
		  struct ml_strbuf *key)
{
	ml_strbuf_clear(key);
	if (site->is_stack_lost)
		add_text(key, "lost");
	ml_array_each (frame, &site->frames) {
		if (frame->is_interpreter)
			continue;
		if (!is_common(match, frame->build_id)) {
			add_names(key, frame);
		} else if (!frame->is_inlined) {
			ml_strbuf_putc(key, 'a');
			add_text(key, frame->build_id);
			ml_strbuf_printf(key, "%" PRIx64, frame->address);
		}
	}
}

void ml_match_deinit(struct ml_match *match)
{
	ml_intern_free(&match->builds);
}
