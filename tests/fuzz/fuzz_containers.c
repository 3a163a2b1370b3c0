/* SPDX-License-Identifier: BSD-2-Clause */
/** State files of container runtimes (an even first byte) and /proc/PID/cgroup (an odd one). */
#include "fuzz.h"

#include "base/json_reader.h"
#include "cli/container_ids.h"
#include "cli/members.h"
#include "target/container.h"

static void read_json(const char *text, size_t size)
{
	ML_JSON_READER_CLEANUP struct ml_json_reader reader = {.at = text};
	struct ml_container_ids ids = {0};
	size_t tokens = 0;

	for (enum ml_json_token token; (token = ml_json_next(&reader)) != ML_JSON_END;) {
		FUZZ_CHECK(++tokens <= size);
		FUZZ_CHECK(reader.depth <= size);
		if (token == ML_JSON_KEY || token == ML_JSON_STRING)
			FUZZ_CHECK(reader.text.length <= size);
	}
	ml_container_ids_in_list(text, "web", &ids);
	FUZZ_CHECK(ids.list.count <= size);
	ml_array_each (id, &ids.list)
		FUZZ_CHECK(strlen(*id) > 0);
	ml_container_ids_deinit(&ids);
}

static void read_cgroups(const char *text)
{
	char *name = ml_container_name(text);

	if (name)
		FUZZ_CHECK(strlen(name) <= strlen(text));
	ml_members_matches(text, "web");
	ml_members_matches(text, "0123456789ab");
	free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;

	char *text = fuzz_text(data + 1, size - 1);

	if (data[0] & 1)
		read_cgroups(text);
	else
		read_json(text, size);
	free(text);
	return 0;
}
