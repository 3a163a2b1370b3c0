/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/container_ids.h"

#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <string.h>

/* A container's configuration has some kilobytes; one of all containers of a machine a few MB. */
#define FILE_LIMIT (16u << 20)

/* What begins and ends the ids of containers/storage: {"id":"…","names":["…", …], …}. */
#define STORAGE_ID    "\"id\":\""
#define STORAGE_NAMES "\"names\":["

static void add(struct ml_container_ids *ids, const char *id, size_t length)
{
	char *copy = ml_alloc(length + 1);

	*ml_array_push(&ids->list) = memcpy(copy, id, length);
}

/* Adds the name of the directory that the file at @p path is in: where runtimes put the id. */
static void add_directory(struct ml_container_ids *ids, const char *path)
{
	const char *end = strrchr(path, '/');
	const char *start = end;

	while (start > path && start[-1] != '/')
		start--;
	if (end > start)
		add(ids, start, (size_t)(end - start));
}

/* True when the JSON @p text has one of @p keys with the string value @p name. Runtimes write
 * compact JSON and names have no characters that JSON escapes, so the text itself is compared. */
static bool has_value(const char *text, const char *const *keys, const char *name)
{
	ML_STRBUF_CLEANUP struct ml_strbuf wanted = {0};

	for (; *keys; keys++) {
		ml_strbuf_clear(&wanted);
		ml_strbuf_printf(&wanted, "\"%s\":\"%s\"", *keys, name);
		if (strstr(text, ml_strbuf_text(&wanted)))
			return true;
	}
	return false;
}

static char *read_text(const char *path)
{
	char *text = NULL;

	ml_error_free(ml_file_read(AT_FDCWD, path, FILE_LIMIT, &text, NULL));
	return text;
}

/* Every file of @p pattern is one container's, in a directory called like its id. */
static void find_in_bundles(const char *root, const char *pattern, const char *const *keys,
			    const char *name, struct ml_container_ids *ids)
{
	ML_STRBUF_CLEANUP struct ml_strbuf whole = {0};
	glob_t found = {0};

	ml_strbuf_printf(&whole, "%s%s", root, pattern);
	if (!glob(ml_strbuf_text(&whole), GLOB_NOSORT, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++) {
			ML_FREE_CLEANUP char *text = read_text(found.gl_pathv[i]);

			if (text && has_value(text, keys, name))
				add_directory(ids, found.gl_pathv[i]);
		}
	globfree(&found);
}

/* True when the list of names at @p names, up to its bracket, has @p name. */
static bool lists_name(const char *names, const char *end, const char *name)
{
	ML_STRBUF_CLEANUP struct ml_strbuf quoted = {0};

	ml_strbuf_printf(&quoted, "\"%s\"", name);
	return memmem(names, (size_t)(end - names), ml_strbuf_text(&quoted), quoted.length) != NULL;
}

/* One file lists all: an id, then its names. */
static void find_in_storage(const char *root, const char *path, const char *name,
			    struct ml_container_ids *ids)
{
	ML_STRBUF_CLEANUP struct ml_strbuf whole = {0};

	ml_strbuf_printf(&whole, "%s%s", root, path);

	ML_FREE_CLEANUP char *text = read_text(ml_strbuf_text(&whole));
	const char *at = text;

	while (at && (at = strstr(at, STORAGE_ID))) {
		const char *id = at + strlen(STORAGE_ID);
		const char *next = strstr(id, STORAGE_ID);
		const char *names = strstr(id, STORAGE_NAMES);
		const char *end = names ? strchr(names, ']') : NULL;

		if (end && (!next || names < next) &&
		    lists_name(names + strlen(STORAGE_NAMES), end, name))
			add(ids, id, strcspn(id, "\""));
		at = next;
	}
}

void ml_container_ids_find(const char *root, const char *name, struct ml_container_ids *out)
{
	static const char *const docker_keys[] = {"Name", NULL};
	static const char *const containerd_keys[] = {"nerdctl/name",
						      "io.kubernetes.cri.container-name",
						      "io.kubernetes.cri.sandbox-name", NULL};
	ML_STRBUF_CLEANUP struct ml_strbuf slash = {0};

	ml_strbuf_printf(&slash, "/%s", name); /* Docker's names begin with one */
	find_in_bundles(root, "/var/lib/docker/containers/*/config.v2.json", docker_keys,
			ml_strbuf_text(&slash), out);
	find_in_bundles(root, "/run/containerd/io.containerd.runtime.v2.task/*/*/config.json",
			containerd_keys, name, out);
	find_in_storage(root, "/var/lib/containers/storage/overlay-containers/containers.json",
			name, out);
}

void ml_container_ids_deinit(struct ml_container_ids *ids)
{
	ml_array_each (id, &ids->list)
		free(*id);
	ml_array_free(&ids->list);
}
