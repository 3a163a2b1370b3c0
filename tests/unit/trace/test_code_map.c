/* SPDX-License-Identifier: BSD-2-Clause */
/* Files mapped more than once, and files that are gone: here copies of this very program. */
#include "trace/code_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ULL

/* What is looked for in the copies. */
void code_map_landmark(void);
void code_map_landmark(void)
{
}

/** A copy of this program and its process, which is this one. */
struct copy {
	char path[64];
	int fd;
	struct ml_process *process;
	struct ml_module_cache *cache;
	uint64_t page;    /**< offset of the landmark's page in the file */
	uint64_t address; /**< ELF address of the landmark */
	uint64_t in_page;
};

static void write_copy(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "cp /proc/%d/exe %s", getpid(), path);
	assert_int_equal(system(command), 0);
}

static void find_landmark(struct copy *copy)
{
	struct ml_module *module;
	struct ml_symbol symbol;
	uint64_t offset;

	assert_null(ml_module_open(open(copy->path, O_RDONLY | O_CLOEXEC), copy->path, &module));
	assert_true(ml_module_function_named(module, "code_map_landmark", &symbol));
	assert_true(ml_module_offset_of_address(module, symbol.address, &offset));
	copy->address = symbol.address;
	copy->page = offset & ~(PAGE - 1);
	copy->in_page = offset & (PAGE - 1);
	ml_module_unref(module);
}

static int make_copy(void **state)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	strcpy(copy->path, "/tmp/memleak-code-map-XXXXXX");
	copy->fd = mkstemp(copy->path);
	assert_true(copy->fd >= 0);
	write_copy(copy->path);
	find_landmark(copy);
	assert_null(ml_process_open(getpid(), &copy->process));
	copy->cache = ml_module_cache_create();
	*state = copy;
	return 0;
}

static int drop_copy(void **state)
{
	struct copy *copy = *state;

	ml_module_cache_destroy(copy->cache);
	ml_process_close(copy->process);
	close(copy->fd);
	unlink(copy->path);
	free(copy);
	return 0;
}

/* The landmark in a new mapping of the copy: its address in this process. */
static uint64_t map_landmark(const struct copy *copy)
{
	char *at =
		mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, copy->fd, (off_t)copy->page);

	assert_true(at != MAP_FAILED);
	return (uint64_t)(uintptr_t)at + copy->in_page;
}

static void unmap_landmark(const struct copy *copy, uint64_t ip)
{
	munmap((void *)(uintptr_t)(ip - copy->in_page), PAGE);
}

static void look(struct copy *copy, struct ml_code_map *map)
{
	struct ml_maps maps;

	assert_null(ml_process_maps(copy->process, &maps));
	ml_code_map_update(map, copy->cache, copy->process, &maps);
	ml_maps_deinit(&maps);
}

static struct ml_module *assert_landmark(const struct copy *copy, const struct ml_code_map *map,
					 uint64_t ip)
{
	struct ml_stack_frame frame = ml_code_map_frame(map, ip, false);
	struct ml_symbol symbol;

	assert_non_null(frame.module);
	assert_int_equal(frame.address, copy->address);
	assert_true(ml_module_symbol_at(frame.module, frame.address, &symbol));
	assert_string_equal(symbol.name, "code_map_landmark");
	return frame.module;
}

static void knows_two_mappings_of_one_file(void **state)
{
	struct copy *copy = *state;
	struct ml_code_map map = {0};
	uint64_t first = map_landmark(copy), second = map_landmark(copy);

	look(copy, &map);
	assert_int_not_equal(first, second);
	assert_ptr_equal(assert_landmark(copy, &map, first), assert_landmark(copy, &map, second));
	unmap_landmark(copy, first);
	unmap_landmark(copy, second);
	ml_code_map_deinit(&map);
}

static void knows_a_deleted_file(void **state)
{
	struct copy *copy = *state;
	struct ml_code_map map = {0};
	uint64_t ip = map_landmark(copy);

	assert_int_equal(unlink(copy->path), 0);
	look(copy, &map);
	assert_landmark(copy, &map, ip);
	unmap_landmark(copy, ip);
	ml_code_map_deinit(&map);
}

/* As by an upgrade: another file has the name, and what runs is the old one. */
static void is_not_taken_in_by_a_replacement(void **state)
{
	struct copy *copy = *state;
	struct ml_code_map map = {0};
	uint64_t ip = map_landmark(copy);

	assert_int_equal(unlink(copy->path), 0);
	assert_int_equal(symlink("/bin/true", copy->path), 0);
	look(copy, &map);
	assert_landmark(copy, &map, ip);
	unmap_landmark(copy, ip);
	ml_code_map_deinit(&map);
}

static void remembers_what_was_unmapped(void **state)
{
	struct copy *copy = *state;
	struct ml_code_map map = {0};
	uint64_t ip = map_landmark(copy);

	look(copy, &map);
	unmap_landmark(copy, ip);
	look(copy, &map);
	assert_landmark(copy, &map, ip);
	ml_code_map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_two_mappings_of_one_file, make_copy,
						drop_copy),
		cmocka_unit_test_setup_teardown(knows_a_deleted_file, make_copy, drop_copy),
		cmocka_unit_test_setup_teardown(is_not_taken_in_by_a_replacement, make_copy,
						drop_copy),
		cmocka_unit_test_setup_teardown(remembers_what_was_unmapped, make_copy, drop_copy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
