/* SPDX-License-Identifier: BSD-2-Clause */
/* Debug files from a server, which here is Python's on this machine. */
#include "../elf/fixture.h"

#include "base/clock.h"
#include "symbols/symbolizer.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/** A running server. */
struct server {
	pid_t pid;
	int port;
};

/* Python says "Serving HTTP on 127.0.0.1 port 40123 …" once it does. */
static struct server start_server(const char *folder)
{
	struct server server = {0};
	char line[256] = "";
	int output[2];

	assert_int_equal(pipe(output), 0);
	server.pid = fork();
	if (server.pid == 0) {
		dup2(output[1], STDOUT_FILENO);
		/* Its log of requests. */
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execl("/usr/bin/python3", "python3", "-u", "-m", "http.server", "0", "--bind",
		      "127.0.0.1", "--directory", fixture_path(folder), NULL);
		_exit(127);
	}
	close(output[1]);

	FILE *from = fdopen(output[0], "r");

	assert_non_null(fgets(line, sizeof(line), from));
	assert_int_equal(sscanf(line, "Serving HTTP on 127.0.0.1 port %d", &server.port), 1);
	fclose(from);
	return server;
}

static void stop_server(const struct server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
}

/* The line that is found for fixed_caller() in a program without debug information; 0 for none. */
static int find_line(void)
{
	struct ml_module *whole = fixture_open("whole");
	struct ml_module *module = fixture_open("stripped");
	struct ml_symbolizer *symbolizer = ml_symbolizer_create(true);
	struct ml_symbol_frames frames = {0};

	ml_symbolizer_lookup(symbolizer, module, fixture_address(whole, "fixed_caller"), false,
			     &frames);

	int line = frames.list.items[frames.list.count - 1].line;

	ml_array_free(&frames.list);
	ml_symbolizer_destroy(symbolizer);
	ml_module_unref(module);
	ml_module_unref(whole);
	return line;
}

/* The same when @p folder is served; the library's cache is empty. */
static int find_line_on(const char *folder)
{
	struct server server = start_server(folder);
	char url[64], cache[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
	snprintf(cache, sizeof(cache), "%s/cache-%s", fixture_folder, folder);
	setenv("DEBUGINFOD_URLS", url, 1);
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);

	int line = find_line();

	stop_server(&server);
	unsetenv("DEBUGINFOD_URLS");
	return line;
}

static void need_library(void)
{
	if (!dlopen("libdebuginfod.so.1", RTLD_NOW))
		skip();
}

static void asks_no_server_that_the_user_did_not_name(void **state)
{
	unsetenv("DEBUGINFOD_URLS");
	assert_int_equal(find_line(), 0);
	setenv("DEBUGINFOD_URLS", " ", 1);
	assert_int_equal(find_line(), 0);
	unsetenv("DEBUGINFOD_URLS");
}

static void gets_debug_files_from_a_server(void **state)
{
	need_library();
	assert_in_range(find_line_on("server"), 200, 202);
}

static void takes_no_file_of_another_build(void **state)
{
	need_library();
	assert_int_equal(find_line_on("liar"), 0);
}

static void goes_on_without_an_answer(void **state)
{
	need_library();
	/* Port 1 of this machine: nobody is there. */
	setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1/", 1);
	assert_int_equal(find_line(), 0);
	assert_int_equal(find_line_on("crc"), 0);
}

/* One that takes connections and never says a word holds up the report once, and not for long. */
static void gives_silent_servers_up(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t start_ns = ml_monotonic_ns();
	char url[64], cache[128];

	need_library();
	assert_int_equal(bind(silent, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(silent, 8), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &size), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
	snprintf(cache, sizeof(cache), "%s/cache-silent", fixture_folder);
	setenv("DEBUGINFOD_URLS", url, 1);
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
	assert_int_equal(find_line(), 0);
	assert_true(ml_monotonic_ns() - start_ns < 20 * ML_NS_PER_SECOND);
	unsetenv("DEBUGINFOD_URLS");
	close(silent);
}

static int build(void **state)
{
	return fixture_unpack(SYMBOLS_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_no_server_that_the_user_did_not_name),
		cmocka_unit_test(gets_debug_files_from_a_server),
		cmocka_unit_test(takes_no_file_of_another_build),
		cmocka_unit_test(goes_on_without_an_answer),
		cmocka_unit_test(gives_silent_servers_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}
