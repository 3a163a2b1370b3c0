/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/container.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID    "4c01db0b339c0123456789abcdef0123456789abcdef0123456789abcdef0123"
#define SHORT "4c01db0b339c"
#define POD   "kubepods-burstable-pod2c48913c_b29f_11e7_9350_020968147796.slice"

static void names_the_innermost_container(void **state)
{
	static const struct {
		const char *cgroups, *name;
	} cases[] = {
		{"0::/\n", NULL},
		{"0::/init.scope\n", NULL},
		{"0::/user.slice/user-1000.slice/session-3.scope\n", NULL},
		{"9:name=systemd:/\n4:memory:/process_api/1533f8529d0e84dc8e61926b10964dc3\n0::/\n",
		 NULL},
		{"", NULL},
		{"no colon at all\n:\n::\n", NULL},
		{"0::/system.slice/docker-" ID ".scope\n", SHORT},
		{"12:pids:/docker/" ID "\n0::/\n", SHORT},
		{"0::/docker/" ID "/inner.slice\n", SHORT},
		{"0::/machine.slice/libpod-" ID ".scope/container\n", SHORT},
		{"0::/libpod_parent/libpod-" ID "\n", SHORT},
		{"0::/machine.slice/libpod-conmon-" ID ".scope\n", NULL},
		{"0::/kubepods.slice/" POD "/cri-containerd-" ID ".scope\n", SHORT},
		{"0::/kubepods.slice/" POD "/crio-" ID ".scope\n", SHORT},
		{"0::/kubepods.slice/" POD "/crio-conmon-" ID ".scope\n", NULL},
		{"0::/kubepods/burstable/pod2c48913c-b29f/" ID "\n", SHORT},
		{"0::/system.slice/containerd.service/" POD ":cri-containerd:" ID "\n", SHORT},
		{"0::/../" ID "\n", SHORT},
		{"0::/docker/" ID " (deleted)\n", SHORT},
		{"0::/docker/4C01db0b339c\n", NULL},
		{"0::/docker/x" ID "\n", NULL},
		{"0::/lxc/web1\n", "web1"},
		{"0::/lxc.payload.web1/init.scope\n", "web1"},
		{"0::/lxc.payload/web1\n", "web1"},
		{"0::/lxc.monitor.web1\n", NULL},
		{"0::/lxc.payload.web1/system.slice/docker-" ID ".scope\n", SHORT},
		{"0::/machine.slice/machine-my\\x2dbox.scope/payload\n", "my-box"},
		{"0::/machine.slice/machine-bad\\x2.scope\n", "bad\\x2"},
		{"0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator\n", NULL},
		{"0::/machine.slice/systemd-nspawn@web.service/payload\n", "web"},
		{"0::/machine.slice/machine-.scope", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ML_FREE_CLEANUP char *name = ml_container_name(cases[i].cgroups);

		if (!cases[i].name)
			assert_null(name);
		else
			assert_string_equal(name, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_innermost_container),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
