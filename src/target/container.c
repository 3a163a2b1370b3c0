/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/container.h"

#include "base/array.h"

#include <stdbool.h>
#include <string.h>

#define ID_DIGITS       64
#define SHORT_ID_DIGITS 12

/* A piece of the text, not terminated. */
struct part {
	const char *text;
	size_t length;
};

static bool drop_prefix(struct part *part, const char *prefix)
{
	size_t length = strlen(prefix);

	if (part->length < length || memcmp(part->text, prefix, length))
		return false;
	part->text += length;
	part->length -= length;
	return true;
}

static bool drop_suffix(struct part *part, const char *suffix)
{
	size_t length = strlen(suffix);

	if (part->length < length || memcmp(part->text + part->length - length, suffix, length))
		return false;
	part->length -= length;
	return true;
}

static bool equals(struct part part, const char *text)
{
	return drop_prefix(&part, text) && !part.length;
}

static char *copy(const char *text, size_t length)
{
	char *name = ml_alloc(length + 1);

	memcpy(name, text, length);
	return name;
}

static char *short_id(struct part part)
{
	if (part.length != ID_DIGITS)
		return NULL;
	for (size_t i = 0; i < ID_DIGITS; i++)
		if (!strchr("0123456789abcdef", part.text[i]) || !part.text[i])
			return NULL;
	return copy(part.text, SHORT_ID_DIGITS);
}

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* A unit's name as it was before systemd wrote its special characters as \xNN. */
static char *unit_name(struct part part)
{
	char *name = ml_alloc(part.length + 1);
	size_t used = 0;

	for (size_t i = 0; i < part.length; i++) {
		const char *at = part.text + i;

		if (part.length - i >= 4 && at[0] == '\\' && at[1] == 'x' &&
		    hex_value(at[2]) >= 0 && hex_value(at[3]) >= 0) {
			name[used++] = (char)(hex_value(at[2]) << 4 | hex_value(at[3]));
			i += 3;
		} else {
			name[used++] = *at;
		}
	}
	return name;
}

/* ID, docker-ID.scope (cgroups kept by systemd), libpod-ID (kept by the runtime itself). */
static char *id_of(struct part part)
{
	static const char *const prefixes[] = {
		"docker-", "libpod-", "cri-containerd-", "crio-", "containerd-", "nerdctl-",
	};
	const char *colon = memrchr(part.text, ':', part.length);

	/* kubepods-podUID.slice:cri-containerd:ID, by runc told of the wrong cgroup driver */
	if (colon) {
		part.length -= (size_t)(colon + 1 - part.text);
		part.text = colon + 1;
	}
	drop_suffix(&part, ".scope");
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (drop_prefix(&part, prefixes[i]))
			break;
	return short_id(part);
}

static char *machine_of(struct part part)
{
	if (drop_prefix(&part, "machine-")) {
		/* libvirt registers virtual machines the same way; they are no containers */
		bool is_virtual = drop_prefix(&part, "qemu\\x2d");

		return drop_suffix(&part, ".scope") && part.length && !is_virtual ? unit_name(part)
										  : NULL;
	}
	if (drop_prefix(&part, "systemd-nspawn@"))
		return drop_suffix(&part, ".service") && part.length ? unit_name(part) : NULL;
	return NULL;
}

/* @p parent is the component above @p part, empty when there is none. */
static char *name_of(struct part parent, struct part part)
{
	char *name = id_of(part);

	if (!name)
		name = machine_of(part);
	if (name)
		return name;
	if (drop_prefix(&part, "lxc.payload.") || equals(parent, "lxc") ||
	    equals(parent, "lxc.payload"))
		return part.length ? copy(part.text, part.length) : NULL;
	return NULL;
}

/* Walks the components of @p path from the root; the last that names a container is the answer. */
static char *name_in_path(struct part path)
{
	struct part parent = {0};
	char *found = NULL;

	drop_suffix(&path, " (deleted)");
	while (path.length) {
		const char *slash = memchr(path.text, '/', path.length);
		size_t length = slash ? (size_t)(slash - path.text) : path.length;
		struct part part = {.text = path.text, .length = length};
		char *name = length ? name_of(parent, part) : NULL;

		if (name) {
			free(found);
			found = name;
		}
		parent = part;
		length += slash != NULL;
		path.text += length;
		path.length -= length;
	}
	return found;
}

char *ml_container_name(const char *cgroups)
{
	/* HIERARCHY:CONTROLLERS:PATH on each line (cgroups(7)) */
	while (*cgroups) {
		const char *end = strchrnul(cgroups, '\n');
		const char *path = memchr(cgroups, ':', (size_t)(end - cgroups));

		if (path)
			path = memchr(path + 1, ':', (size_t)(end - path - 1));
		if (path) {
			char *name =
				name_in_path((struct part){path + 1, (size_t)(end - path - 1)});

			if (name)
				return name;
		}
		cgroups = *end ? end + 1 : end;
	}
	return NULL;
}
