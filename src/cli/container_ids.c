/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/container_ids.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* A container's configuration has some kilobytes; one of all containers of a machine a few MB. */
#define FILE_LIMIT (16u << 20)

/* Of containers/storage, by the driver of the layers (overlay, vfs, …); the second is for
 * containers that a restart of the machine ends. */
#define LISTS "*-containers/{containers,volatile-containers}.json"

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

static bool is_one_of(const char *text, const char *const *list)
{
	while (*list && strcmp(*list, text) != 0)
		list++;
	return *list != NULL;
}

/* Whether people call the container @p called @p name. What Kubernetes has Docker or CRI-O start is
 * called k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT; the container's name and the pod's count. */
static bool is_called(const char *called, const char *name)
{
	size_t length = strlen(name);

	called += *called == '/'; /* Docker's names begin with one */
	if (strcmp(called, name) == 0)
		return length > 0;
	if (strncmp(called, "k8s_", 4) != 0)
		return false;
	for (int i = 0; i < 2; i++) {
		called += strcspn(called, "_");
		called += *called == '_';
		if (length > 0 && strcspn(called, "_") == length && !memcmp(called, name, length))
			return true;
	}
	return false;
}

/* True when the JSON @p text says that one of @p keys is @p name. */
static bool has_value(const char *text, const char *const *keys, const char *name)
{
	ML_JSON_READER_CLEANUP struct ml_json_reader reader = {.at = text};
	bool is_key = false;

	for (enum ml_json_token token; (token = ml_json_next(&reader)) != ML_JSON_END;) {
		if (token == ML_JSON_STRING && is_key &&
		    is_called(ml_strbuf_text(&reader.text), name))
			return true;
		is_key = token == ML_JSON_KEY && is_one_of(ml_strbuf_text(&reader.text), keys);
	}
	return false;
}

/* NULL when @p path is no regular file: users write what is below /home. */
static char *read_text(const char *path)
{
	struct stat status;
	char *text = NULL;

	if (!stat(path, &status) && S_ISREG(status.st_mode))
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

/** One of the objects in the list of containers/storage: {"id": "…", "names": ["…", …], …}. */
struct stored {
	struct ml_strbuf id;
	bool is_wanted;
};

static void end_stored(struct stored *stored, struct ml_container_ids *ids)
{
	if (stored->is_wanted && stored->id.length > 0)
		add(ids, stored->id.text, stored->id.length);
	ml_strbuf_clear(&stored->id);
	stored->is_wanted = false;
}

void ml_container_ids_in_list(const char *text, const char *name, struct ml_container_ids *ids)
{
	ML_JSON_READER_CLEANUP struct ml_json_reader reader = {.at = text};
	ML_STRBUF_CLEANUP struct ml_strbuf key = {0};
	struct stored stored = {0};

	for (enum ml_json_token token; (token = ml_json_next(&reader)) != ML_JSON_END;) {
		const char *found = ml_strbuf_text(&reader.text);

		if (token == ML_JSON_KEY && reader.depth == 2) {
			ml_strbuf_clear(&key);
			ml_strbuf_puts(&key, found);
		} else if (token == ML_JSON_STRING && reader.depth == 2 &&
			   !strcmp(ml_strbuf_text(&key), "id")) {
			ml_strbuf_clear(&stored.id);
			ml_strbuf_puts(&stored.id, found);
		} else if (token == ML_JSON_STRING && reader.depth == 3 &&
			   !strcmp(ml_strbuf_text(&key), "names")) {
			stored.is_wanted |= is_called(found, name);
		} else if (token == ML_JSON_CLOSE && reader.depth == 1) {
			end_stored(&stored, ids);
		}
	}
	ml_strbuf_free(&stored.id);
}

static void find_in_lists(const char *root, const char *pattern, const char *name,
			  struct ml_container_ids *ids)
{
	ML_STRBUF_CLEANUP struct ml_strbuf whole = {0};
	glob_t found = {0};

	ml_strbuf_printf(&whole, "%s%s", root, pattern);
	if (!glob(ml_strbuf_text(&whole), GLOB_NOSORT | GLOB_BRACE, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++) {
			ML_FREE_CLEANUP char *text = read_text(found.gl_pathv[i]);

			if (text)
				ml_container_ids_in_list(text, name, ids);
		}
	globfree(&found);
}

void ml_container_ids_find(const char *root, const char *name, struct ml_container_ids *out)
{
	static const char *const docker_keys[] = {"Name", NULL};
	static const char *const containerd_keys[] = {"nerdctl/name",
						      "io.kubernetes.cri.container-name",
						      "io.kubernetes.cri.sandbox-name", NULL};

	find_in_bundles(root, "/var/lib/docker/containers/*/config.v2.json", docker_keys, name,
			out);
	find_in_bundles(root, "/home/*/.local/share/docker/containers/*/config.v2.json",
			docker_keys, name, out);
	find_in_bundles(root, "/run/containerd/io.containerd.runtime.v2.task/*/*/config.json",
			containerd_keys, name, out);
	find_in_lists(root, "/var/lib/containers/storage/" LISTS, name, out);
	find_in_lists(root, "/home/*/.local/share/containers/storage/" LISTS, name, out);
}

void ml_container_ids_deinit(struct ml_container_ids *ids)
{
	ml_array_each (id, &ids->list)
		free(*id);
	ml_array_free(&ids->list);
}
