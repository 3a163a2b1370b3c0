/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said when BPF cannot work. */
#include "trace/bpf_object.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void names_what_and_remedy(void **state)
{
	ML_ERROR_CLEANUP struct ml_error *refused = ml_bpf_error(-EPERM, "loading", "Linux 9");
	ML_ERROR_CLEANUP struct ml_error *old = ml_bpf_error(EINVAL, "loading", "Linux 9");

	assert_int_equal(ml_error_kind(refused), ML_ERROR_UNSUPPORTED);
	assert_non_null(strstr(ml_error_message(refused), "Operation not permitted"));
	assert_non_null(strstr(ml_error_message(refused), "root"));
	assert_non_null(strstr(ml_error_message(old), "needs Linux 9"));
}

static void works_for_root(void **state)
{
	if (geteuid() != 0)
		skip();

	ML_ERROR_CLEANUP struct ml_error *error = ml_bpf_support();

	assert_null(error);
}

/* As a user without capabilities; the answer comes back through a pipe. */
static void sends_others_to_root(void **state)
{
	int pipe_fd[2];
	char message[512] = "";
	int status;

	assert_int_equal(pipe(pipe_fd), 0);

	pid_t child = fork();

	if (child == 0) {
		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(2);
		struct ml_error *error = ml_bpf_support();

		dprintf(pipe_fd[1], "%s", error ? ml_error_message(error) : "works");
		ml_error_free(error);
		_exit(0);
	}
	close(pipe_fd[1]);
	assert_true(read(pipe_fd[0], message, sizeof(message) - 1) > 0);
	close(pipe_fd[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_non_null(strstr(message, "run as root"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_what_and_remedy),
		cmocka_unit_test(works_for_root),
		cmocka_unit_test(sends_others_to_root),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
