/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int make_folder(void **state)
{
	char folder[] = "/tmp/memleak-test-XXXXXX";

	*state = mkdtemp(folder) ? strdup(folder) : NULL;
	return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/file", (const char *)*state);
	unlink(path);
	rmdir(*state);
	free(*state);
	return 0;
}

/* Writes `file` in the test's folder: @p length times 'x', and returns the folder's descriptor. */
static int write_file(const char *folder, size_t length)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/file", folder);

	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (size_t i = 0; i < length; i++)
		fputc('x', file);
	assert_int_equal(fclose(file), 0);
	return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void reads_files_whole(void **state)
{
	static const size_t lengths[] = {0, 1, 16383, 16384, 16385, 100003};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		ML_FD_CLEANUP int folder = write_file(*state, lengths[i]);
		ML_FREE_CLEANUP char *text = NULL;
		size_t length = 4711;

		assert_null(ml_file_read(folder, "file", lengths[i], &text, &length));
		assert_int_equal(length, lengths[i]);
		assert_int_equal(strlen(text), lengths[i]);
	}
}

static void refuses_more_than_the_limit(void **state)
{
	ML_FD_CLEANUP int folder = write_file(*state, 101);
	char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error = ml_file_read(folder, "file", 100, &text, NULL);

	assert_string_equal(ml_error_message(error), "file is larger than 100 bytes");
	assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
	assert_null(text);
}

static void bounds_endless_files(void **state)
{
	char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, "/dev/zero", 100000, &text, NULL);

	assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
	assert_null(text);
}

static void says_which_file_is_missing(void **state)
{
	char *text = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_file_read(AT_FDCWD, "/no/such/file", 100, &text, NULL);
	ML_ERROR_CLEANUP struct ml_error *folder = ml_file_read(AT_FDCWD, "/tmp", 100, &text, NULL);

	assert_int_equal(ml_error_code(error), ENOENT);
	assert_non_null(strstr(ml_error_message(error), "/no/such/file"));
	assert_int_equal(ml_error_code(folder), EISDIR);
	assert_null(text);
}

static void does_not_wait_for_a_writer(void **state)
{
	char path[64];
	char *text = NULL;

	snprintf(path, sizeof(path), "%s/file", (const char *)*state);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(ml_file_read(AT_FDCWD, path, 100, &text, NULL));
	assert_string_equal(text, "");
	free(text);
}

static void closes_only_what_is_open(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int copy = fd;

	ml_fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	ml_fd_close(&fd);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_files_whole),
		cmocka_unit_test(refuses_more_than_the_limit),
		cmocka_unit_test(bounds_endless_files),
		cmocka_unit_test(says_which_file_is_missing),
		cmocka_unit_test(does_not_wait_for_a_writer),
		cmocka_unit_test(closes_only_what_is_open),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
