/* SPDX-License-Identifier: BSD-2-Clause */
/** Names of containers, by files as the runtimes write them. */
#include "cli/container_ids.h"
#include "cli/members.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID(digit) digit "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char root[] = "/tmp/container_ids.XXXXXX";

static void put(const char *path, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf command = {0};

	ml_strbuf_printf(&command, "mkdir -p '%s%.*s'", root, (int)(strrchr(path, '/') - path),
			 path);
	assert_int_equal(system(ml_strbuf_text(&command)), 0);
	ml_strbuf_clear(&command);
	ml_strbuf_printf(&command, "%s%s", root, path);

	FILE *file = fopen(ml_strbuf_text(&command), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	if (!mkdtemp(root))
		return 1;
	put("/var/lib/docker/containers/" ID("0") "/config.v2.json",
	    "{\"State\":{\"Pid\":23},\"Name\":\"/redis-1\",\"Driver\":\"overlay2\"}");
	put("/var/lib/docker/containers/" ID("1") "/config.v2.json", "{\"Name\":\"/redis-10\"}");
	put("/run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID("2") "/config.json",
	    "{\"annotations\":{\"io.kubernetes.cri.container-name\":\"web\","
	    "\"io.kubernetes.cri.sandbox-name\":\"shop-7d9\"}}");
	put("/home/user/.local/share/docker/containers/" ID("6") "/config.v2.json",
	    "{\n  \"Config\": {\"Env\": [\"Name\", \"/web\"]},\n  \"Name\" : "
	    "\"\\/root\\u006cess\"\n}\n");
	put("/var/lib/docker/containers/" ID("7") "/config.v2.json",
	    "{\"Name\":\"/k8s_cache_store-0_default_0f3_0\"}");
	put("/home/user/.local/share/containers/storage/vfs-containers/volatile-containers.json",
	    "[ { \"names\" : [ \"podless\" ], \"metadata\": {\"id\": \"x\"}, \"id\": \"" ID(
		    "8") "\" } ]");
	put("/var/lib/docker/containers/" ID("9") "/config.v2.json", "{\"Name\": \"/cut");
	put("/var/lib/containers/storage/overlay-containers/containers.json",
	    "[{\"id\":\"" ID("3") "\",\"names\":[\"other\"]},{\"id\":\"" ID(
		    "4") "\",\"names\":[\"pod_1\",\"alias\"]},{\"id\":\"" ID("5") "\"}]");
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static void expect(const char *name, const char *id)
{
	struct ml_container_ids ids = {0};

	ml_container_ids_find(root, name, &ids);
	assert_int_equal(ids.list.count, id ? 1 : 0);
	if (id)
		assert_string_equal(ids.list.items[0], id);
	ml_container_ids_deinit(&ids);
}

static void every_runtime(void **state)
{
	expect("redis-1", ID("0"));
	expect("web", ID("2"));
	expect("shop-7d9", ID("2"));
	expect("alias", ID("4"));
	expect("rootless", ID("6"));
	expect("cache", ID("7"));
	expect("store-0", ID("7"));
	expect("podless", ID("8"));
	expect("/redis-1", NULL);
	expect("default", NULL);
	expect("cut", NULL);
	expect("redis", NULL);
	expect("names", NULL);
	expect("", NULL);
}

/* The id found is what the cgroup of a process has. */
static void cgroups_match(void **state)
{
	assert_true(ml_members_matches("0::/system.slice/docker-" ID("0") ".scope\n", ID("0")));
	assert_true(ml_members_matches("4:memory:/docker/" ID("0") "\n1:cpu:/\n", "0123456789ab"));
	assert_true(ml_members_matches("0::/machine.slice/crun-web.scope\n", "web"));
	assert_true(ml_members_matches("0::/system.slice/runc-web.scope\n", "web"));
	assert_true(ml_members_matches("0::/a/nerdctl-" ID("0") ".scope/x\n", ID("0")));
	assert_true(ml_members_matches("0::/k.slice:cri-containerd:" ID("0") "\n", ID("0")));
	assert_true(ml_members_matches("0::/machine.slice/systemd-nspawn@web.service/payload\n",
				       "web"));
	assert_true(
		ml_members_matches("0::/user.slice/libpod-" ID("0") ".scope/container\n", ID("0")));
	assert_false(ml_members_matches("0::/libpod-conmon-" ID("0") ".scope\n", ID("0")));
	assert_false(ml_members_matches("0::/system.slice/docker-" ID("0") ".scope\n", ID("1")));
	assert_false(ml_members_matches("0::/user.slice\n", "user"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_runtime),
		cmocka_unit_test(cgroups_match),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
