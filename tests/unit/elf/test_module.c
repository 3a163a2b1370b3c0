/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include <sys/stat.h>

static void assert_refused(const char *name, const char *why)
{
	const char *path = fixture_path(name);
	struct ml_module *module = NULL;
	ML_ERROR_CLEANUP struct ml_error *error =
		ml_module_open(open(path, O_RDONLY | O_CLOEXEC), path, &module);

	assert_non_null(error);
	assert_null(module);
	assert_int_equal(ml_error_kind(error), ML_ERROR_FORMAT);
	assert_non_null(strstr(ml_error_message(error), path));
	if (!strstr(ml_error_message(error), why))
		fail_msg("'%s' does not say '%s'", ml_error_message(error), why);
}

static void refuses_what_is_no_program(void **state)
{
	assert_refused("script", "not an ELF file");
	assert_refused("empty", "not an ELF file");
	assert_refused("cut-magic", "not an ELF file");
	assert_refused("cut-header", "truncated");
	assert_refused("cut-phdr", "truncated");
	assert_refused("cut-load", "truncated");
	assert_refused("app32", "32-bit");
	assert_refused("app-arm", "another machine");
	assert_refused("app-big-endian", "big-endian");
	assert_refused("object.o", "neither a program nor a shared library");
	assert_refused(".", "not a regular file");
}

static void takes_the_descriptor_on_failure(void **state)
{
	struct ml_module *module;
	int fd = open(fixture_path("script"), O_RDONLY | O_CLOEXEC);

	ml_error_free(ml_module_open(fd, "script", &module));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void tells_who_it_is(void **state)
{
	struct ml_module *module = fixture_open("app");
	struct stat status;
	size_t size;

	assert_int_equal(fstat(ml_module_fd(module), &status), 0);
	assert_int_equal(ml_module_inode(module), status.st_ino);
	assert_int_equal(ml_module_device(module), status.st_dev);
	assert_string_equal(ml_module_name(module), "app");
	assert_string_equal(ml_module_path(module), fixture_path("app"));
	assert_string_equal(ml_module_build_id_hex(module),
			    "0123456789abcdef0123456789abcdef01234567");
	assert_int_equal(ml_module_build_id(module, &size)[1], 0x23);
	assert_int_equal(size, 20);
	ml_module_unref(ml_module_ref(module));
	assert_string_equal(ml_module_name(module), "app");
	ml_module_unref(module);
}

static void knows_a_missing_build_id(void **state)
{
	struct ml_module *module = fixture_open("app-noid");
	size_t size = 1;

	assert_null(ml_module_build_id(module, &size));
	assert_int_equal(size, 0);
	assert_null(ml_module_build_id_hex(module));
	ml_module_unref(module);
}

static void tells_programs_from_libraries(void **state)
{
	static const struct {
		const char *name;
		bool is_executable, is_static;
	} files[] = {
		{"app", true, false},          {"app-nopie", true, false},
		{"app-static", true, true},    {"app-static-pie", true, true},
		{"lib.so", false, false},      {"lib-stripped.so", false, false},
		{"headless-app", true, false},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct ml_module *module = fixture_open(files[i].name);

		assert_int_equal(ml_module_is_executable(module), files[i].is_executable);
		assert_int_equal(ml_module_is_static(module), files[i].is_static);
		ml_module_unref(module);
	}

	const char *libc = "/lib/x86_64-linux-gnu/libc.so.6";
	struct ml_module *module;

	if (access(libc, R_OK) != 0)
		return;
	assert_null(ml_module_open(open(libc, O_RDONLY | O_CLOEXEC), libc, &module));
	assert_false(ml_module_is_executable(module));
	ml_module_unref(module);
}

static void turns_offsets_into_addresses_and_back(void **state)
{
	struct ml_module *module = fixture_open("app-nopie");
	uint64_t function = fixture_address(module, "global_one"), offset, address;
	uint8_t from_module[16], from_file[16];

	assert_true(ml_module_offset_of_address(module, function, &offset));
	assert_true(offset < function);
	assert_true(ml_module_address_of_offset(module, offset, &address));
	assert_int_equal(address, function);
	assert_true(ml_module_read(module, function, from_module, sizeof(from_module)));
	assert_int_equal(pread(ml_module_fd(module), from_file, sizeof(from_file), (off_t)offset),
			 sizeof(from_file));
	assert_memory_equal(from_module, from_file, sizeof(from_file));
	assert_false(ml_module_read(module, 0, from_module, 1));
	assert_false(ml_module_read(module, UINT64_MAX, from_module, 1));
	assert_false(ml_module_read(module, function, from_module, SIZE_MAX));
	assert_false(ml_module_offset_of_address(module, UINT64_MAX, &offset));
	assert_false(ml_module_address_of_offset(module, UINT64_MAX, &address));
	ml_module_unref(module);
}

static void gives_sections(void **state)
{
	struct ml_module *module = fixture_open("app");
	struct ml_section text, again;

	assert_true(ml_module_section(module, ".text", &text));
	assert_true(fixture_address(module, "main") - text.address < text.size);
	assert_true(ml_module_section(module, ".text", &again));
	assert_ptr_equal(text.bytes, again.bytes);
	assert_false(ml_module_section(module, ".bss", &text));
	assert_false(ml_module_section(module, ".no_such", &text));
	ml_module_unref(module);
	module = fixture_open("headless-app");
	assert_false(ml_module_section(module, ".text", &text));
	ml_module_unref(module);
}

static void decompresses_sections(void **state)
{
	struct ml_module *plain = fixture_open("app");
	struct ml_module *compressed = fixture_open("app-compressed");
	struct ml_section a, b;

	assert_true(ml_module_section(plain, ".debug_abbrev", &a));
	assert_true(ml_module_section(compressed, ".debug_abbrev", &b));
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.bytes, b.bytes, a.size);
	assert_int_equal(b.address, 0);
	ml_module_unref(plain);
	ml_module_unref(compressed);
}

static void shares_only_equal_contents(void **state)
{
	struct ml_module *first = fixture_open("lib.so"), *copy = fixture_open("lib-copy.so");
	struct ml_module *liar = fixture_open("lib-liar.so"), *third = fixture_open("lib-copy.so");
	struct ml_symbol symbol, again;
	struct ml_section a, b;

	assert_string_equal(ml_module_build_id_hex(first), ml_module_build_id_hex(liar));
	assert_false(ml_module_share(liar, first));
	assert_ptr_equal(ml_module_original(liar), liar);
	assert_false(ml_module_share(first, first));
	assert_true(ml_module_share(copy, first));
	assert_true(ml_module_share(third, copy));
	assert_ptr_equal(ml_module_original(copy), first);
	assert_ptr_equal(ml_module_original(third), first);
	assert_true(ml_module_section(first, ".text", &a));
	assert_true(ml_module_section(copy, ".text", &b));
	assert_ptr_equal(a.bytes, b.bytes);
	ml_module_drop_section(third, ".text");
	assert_true(ml_module_section(copy, ".text", &b));
	/* What is shared lives as long as somebody shares it. */
	ml_module_unref(first);
	assert_true(ml_module_symbol_at(copy, b.address, &symbol));
	assert_true(ml_module_symbol_at(third, b.address, &again));
	assert_ptr_equal(symbol.name, again.name);
	assert_string_equal(ml_module_path(copy), fixture_path("lib-copy.so"));
	ml_module_unref(copy);
	ml_module_unref(third);
	ml_module_unref(liar);
}

static int build(void **state)
{
	return fixture_unpack(ELF_FIXTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_no_program),
		cmocka_unit_test(takes_the_descriptor_on_failure),
		cmocka_unit_test(tells_who_it_is),
		cmocka_unit_test(knows_a_missing_build_id),
		cmocka_unit_test(tells_programs_from_libraries),
		cmocka_unit_test(turns_offsets_into_addresses_and_back),
		cmocka_unit_test(gives_sections),
		cmocka_unit_test(decompresses_sections),
		cmocka_unit_test(shares_only_equal_contents),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, build, fixture_remove);
}
