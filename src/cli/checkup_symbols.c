/* SPDX-License-Identifier: BSD-2-Clause */
/** Whether the frames of a process would have names and lines, and what to install if not. */
#include "cli/checkup.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "symbols/debug_file.h"

#include <stdlib.h>

#define NAMED_MAX 6

/* Modules of one kind: the first few by name. */
struct group {
	struct ml_strbuf names;
	size_t count;
};

static void add(struct group *group, const struct ml_module *module)
{
	if (group->count++ < NAMED_MAX)
		ml_strbuf_printf(&group->names, "%s%s", group->names.length ? ", " : "",
				 ml_module_name(module));
}

static void tell(struct ml_strbuf *text, const char *what, const struct group *group)
{
	if (!group->count)
		return;
	ml_strbuf_printf(text, "%s%s: %s", text->length ? "; " : "", what,
			 ml_strbuf_text(&group->names));
	if (group->count > NAMED_MAX)
		ml_strbuf_printf(text, " and %zu more", group->count - NAMED_MAX);
}

static struct ml_error *open_in_root(void *context, struct ml_module *module, const char *path,
				     int *fd)
{
	return ml_process_open_file(context, path, fd);
}

static bool has_section(struct ml_module *module, const char *name)
{
	struct ml_section section;
	bool has_it = ml_module_section(module, name, &section);

	ml_module_drop_section(module, name);
	return has_it;
}

static bool has_debug_file(struct ml_module *module, const struct ml_process *process)
{
	/* No server is asked: that may take long. */
	const struct ml_file_opener opener = {.open = open_in_root, .context = (void *)process};
	ML_FREE_CLEANUP char *path = NULL;
	ML_FD_CLEANUP int fd = ml_debug_file_find(module, &opener, &path);

	return fd >= 0;
}

void ml_checkup_symbols(struct ml_checkup *checkup, const struct ml_process *process,
			const struct ml_code_map *code)
{
	ML_STRBUF_CLEANUP struct ml_strbuf text = {0};
	struct group lines = {0}, names = {0}, stripped = {0};
	struct ml_module *before = NULL;

	for (size_t i = 0; i < code->mapped_count; i++) {
		struct ml_module *module = code->list.items[i].module;

		if (!module || module == before || *ml_module_name(module) == '[')
			continue;
		before = module;
		if (has_section(module, ".debug_info") || has_debug_file(module, process))
			add(&lines, module);
		else if (has_section(module, ".symtab") || has_section(module, ".gnu_debugdata"))
			add(&names, module);
		else
			add(&stripped, module);
	}
	tell(&text, "functions, files and lines", &lines);
	tell(&text, "functions", &names);
	tell(&text, "only the functions they export (stripped)", &stripped);
	ml_checkup_add(checkup, "symbols", stripped.count ? ML_CHECK_WARN : ML_CHECK_OK,
		       ml_strbuf_take(&text),
		       stripped.count ? ml_strdup("install the debug symbols of those that matter, "
						  "here or in its container (packages named "
						  "-dbgsym, -dbg or -debuginfo), or set "
						  "DEBUGINFOD_URLS")
				      : NULL);
	ml_strbuf_free(&lines.names);
	ml_strbuf_free(&names.names);
	ml_strbuf_free(&stripped.names);
}
