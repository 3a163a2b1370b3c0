/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const wrappers[] = {
	"xmalloc",
	"xstrdup",
	"zmalloc",
	"ztrycalloc_usable",
	"je_malloc",
	"g_malloc0_n",
	"g_strdup",
	"g_slice_alloc",
	"ngx_palloc",
	"ngx_alloc",
	"apr_palloc",
	"av_malloc",
	"av_mallocz",
	"OPENSSL_malloc",
	"CRYPTO_zalloc",
	"sqlite3Malloc",
	"sqlite3DbMallocRawNN",
	"sqlite3MemMalloc",
	"palloc0",
	"MemoryContextAlloc",
	"AllocSetAlloc",
	"PyMem_Malloc",
	"PyObject_Malloc",
	"_PyMem_RawCalloc",
	"PyType_GenericAlloc",
	"my_malloc(unsigned long)",
	"(anonymous namespace)::xmalloc(unsigned long)",
	"char* (anonymous namespace)::a::xstrdup(char const*)",
	"mem_alloc",
	"safe_realloc",
	"emalloc",
	"operator new(unsigned long)",
	"std::allocator<char>::allocate(unsigned long, void const*)",
	"std::__cxx11::basic_string<char, std::allocator<char> >::_M_create(unsigned long&)",
	"void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
	"std::enable_if<true, int>::type std::foo()",
	"__gnu_cxx::new_allocator<char>::allocate(unsigned long)",
	"alloc::alloc::Global::alloc_impl",
	"alloc::raw_vec::RawVec<T,A>::allocate_in",
	"<alloc::vec::Vec<T> as core::clone::Clone>::clone",
	"__rdl_alloc",
	"util::Arena::alloc(unsigned long)",
};

static const char *const owners[] = {
	"main",
	"fibonacci",
	"createStringObject",
	"session_alloc",
	"make_node",
	"allocate_sessions",
	"alloc_user",
	"Parser::parse(std::string const&)",
	"std_lookup",
	"std::string Reader::next()",
	"recalloc_is_not_last_here_session",
	"mallocator_dump",
	"new_connection",
	"(anonymous namespace)::serve(int)",
	"<app::Server as core::ops::Fn>::call",
	"balloon_inflate",
	"leak_malloc",
	"juliet_char_malloc()",
	"CWE401_Memory_Leak__twoIntsStruct_calloc_01_bad",
	"CWE401_Memory_Leak__char_malloc_41::badSink(char*)",
	"test_strdup",
	"leaky_alloc",
	"allocate_memory",
	"allocate",
};

static void test_names(void **state)
{
	size_t wrong = 0;

	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++)
		if (!ml_owner_is_wrapper_name(wrappers[i])) {
			print_error("no wrapper: %s\n", wrappers[i]);
			wrong++;
		}
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		if (ml_owner_is_wrapper_name(owners[i])) {
			print_error("a wrapper: %s\n", owners[i]);
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

static struct ml_report_site *add_site(struct ml_report *report)
{
	struct ml_report_site *site = ml_array_push(&report->sites);

	*site = (struct ml_report_site){.count = 1};
	return site;
}

static void add_frame(struct ml_report_site *site, const char *symbol, uint64_t function,
		      uint64_t offset, const char *module)
{
	*ml_array_push(&site->frames) = (struct ml_report_frame){
		.ip = function + offset,
		.symbol = symbol,
		.offset = offset,
		.module = module,
	};
}

static const char *owner_name(const struct ml_report *report, size_t i)
{
	const struct ml_report_site *site = &report->sites.items[i];

	return site->owner ? site->frames.items[site->owner - 1].symbol : NULL;
}

static void test_libraries_are_not_to_blame(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_frame(site, "getdelim", 0x1000, 0x80, "libc.so.6");
	add_frame(site, NULL, 0x2000, 0x80, "libstdc++.so.6");
	add_frame(site, "read_line", 0x3000, 0x400, "app");
	add_frame(site, "main", 0x4000, 0x10, "app");
	site = add_site(&report);
	add_frame(site, "xmalloc", 0x5000, 0x10, "app");
	add_site(&report);
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "read_line");
	/* Nothing but wrappers, and nothing at all. */
	assert_string_equal(owner_name(&report, 1), "xmalloc");
	assert_null(owner_name(&report, 2));
	ml_report_deinit(&report);
}

static void test_short_code_with_many_callers(void **state)
{
	static const char *const callers[] = {"a", "b", "c", "d"};
	struct ml_report report = {0};

	for (size_t i = 0; i < 4; i++) {
		struct ml_report_site *site = add_site(&report);

		add_frame(site, "get_chunk", 0x1000, 0x20, "app");
		add_frame(site, callers[i], 0x2000 + 0x1000 * i, 0x30, "app");
	}
	/* Long code, though many call it. */
	for (size_t i = 0; i < 4; i++) {
		struct ml_report_site *site = add_site(&report);

		add_frame(site, "load", 0x9000, 0x420, "app");
		add_frame(site, callers[i], 0x2000 + 0x1000 * i, 0x30, "app");
	}
	ml_owners_find(&report, NULL);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(owner_name(&report, i), callers[i]);
	for (size_t i = 4; i < 8; i++)
		assert_string_equal(owner_name(&report, i), "load");
	ml_report_deinit(&report);
}

/* One function allocates through the first, two through the second. */
static void test_names_that_only_hint(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_frame(site, "leak_malloc", 0x1000, 0x20, "app");
	add_frame(site, "main", 0x2000, 0x30, "app");
	for (uint64_t i = 0; i < 2; i++) {
		site = add_site(&report);
		add_frame(site, "allocate_memory", 0x9000, 0x420, "app");
		add_frame(site, i ? "serve" : "load", 0x3000 + 0x1000 * i, 0x30, "app");
	}
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "leak_malloc");
	assert_string_equal(owner_name(&report, 1), "load");
	assert_string_equal(owner_name(&report, 2), "serve");
	ml_report_deinit(&report);
}

static void test_known_wrappers(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_frame(site, "_PyObject_New", 0x1000, 0x420, "app");
	site->frames.items[0].mangled = "_PyObject_New";
	add_frame(site, "serve", 0x2000, 0x420, "app");
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "serve");
	ml_report_deinit(&report);
}

static void test_patterns_of_the_user(void **state)
{
	const char *const patterns[] = {"obj_*", "Pool::get(*)", NULL};
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_frame(site, "obj_make", 0x1000, 0x420, "app");
	add_frame(site, "Pool::get(int)", 0x2000, 0x420, "app");
	add_frame(site, "serve", 0x3000, 0x420, "app");
	ml_owners_find(&report, patterns);
	assert_string_equal(owner_name(&report, 0), "serve");
	ml_report_deinit(&report);
}

static void test_python(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_frame(site, "PyBytes_FromStringAndSize", 0x1000, 0x420, "libpython3.11.so.1.0");
	add_frame(site, "bytes_new", 0x2000, 0x420, "libpython3.11.so.1.0");
	add_frame(site, "Cache.fill", 0, 0, "python");
	site->frames.items[2].kind = ML_FRAME_PYTHON;
	add_frame(site, "_PyEval_EvalFrameDefault", 0x3000, 0x420, "libpython3.11.so.1.0");
	site->frames.items[3].is_interpreter = true;
	/* A native extension is its own owner. */
	site = add_site(&report);
	add_frame(site, "parse", 0x4000, 0x420, "_ext.so");
	add_frame(site, "cfunction_call", 0x5000, 0x420, "libpython3.11.so.1.0");
	add_frame(site, "_PyEval_EvalFrameDefault", 0x3000, 0x420, "libpython3.11.so.1.0");
	site->frames.items[2].is_interpreter = true;
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "Cache.fill");
	assert_string_equal(owner_name(&report, 1), "parse");
	ml_report_deinit(&report);
}

static void add_library_frame(struct ml_report_site *site, const char *symbol, uint64_t function,
			      const char *path)
{
	add_frame(site, symbol, function, 0x420, strrchr(path, '/') + 1);
	site->frames.items[site->frames.count - 1].module_path = path;
}

/* SQLite as Debian builds it: its static functions have no names. */
static void test_libraries_of_the_system(void **state)
{
	static const char *const libraries[] = {"/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6",
						"/usr/lib/libsqlite3.so.0",
						"/lib64/libsqlite3.so.0", "/lib/libsqlite3.so.0"};
	static const char *const others[] = {"/usr/lib/x86_64-linux-gnu/perl/5.36/auto/DBI/DBI.so",
					     "/opt/lib/libsqlite3.so", "/usr/lib/app/plugin.so"};
	struct ml_report report = {0};
	struct ml_report_site *site;

	for (size_t i = 0; i < 4; i++) {
		site = add_site(&report);
		add_library_frame(site, NULL, 0x1000, libraries[i]);
		add_library_frame(site, "sqlite3VdbeCreate", 0x2000, libraries[i]);
		add_library_frame(site, "lookup_user", 0x3000, "/srv/app");
	}
	for (size_t i = 0; i < 3; i++) {
		site = add_site(&report);
		add_library_frame(site, "dbd_open", 0x1000, others[i]);
		add_library_frame(site, "lookup_user", 0x3000, "/srv/app");
	}
	ml_owners_find(&report, NULL);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(owner_name(&report, i), "lookup_user");
	for (size_t i = 4; i < 7; i++)
		assert_string_equal(owner_name(&report, i), "dbd_open");
	ml_report_deinit(&report);
}

/* Where the program itself tells nothing, the library's function that has a name does. */
static void test_libraries_below_a_stripped_program(void **state)
{
	static const char library[] = "/usr/lib/x86_64-linux-gnu/libtalloc.so.2.4.0";
	struct ml_report report = {0};
	struct ml_report_site *site;

	for (size_t i = 0; i < 3; i++) {
		site = add_site(&report);
		add_library_frame(site, NULL, 0x1000, library);
		add_library_frame(site, "xmalloc", 0x2000, library);
		add_library_frame(site, "tdb_open", 0x3000, library);
		add_library_frame(site, i ? "main" : NULL, 0x4000, "/usr/bin/app");
	}
	site->frames.items[3].file = "app.c";
	/* With its debug information it is looked at like any other code. */
	site = add_site(&report);
	add_library_frame(site, "tdb_open", 0x3000, library);
	site->frames.items[0].file = "tdb.c";
	add_library_frame(site, "serve", 0x4000, "/srv/app");
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "tdb_open");
	assert_string_equal(owner_name(&report, 1), "tdb_open");
	assert_string_equal(owner_name(&report, 2), "main");
	assert_string_equal(owner_name(&report, 3), "tdb_open");
	ml_report_deinit(&report);
}

/* A binding of a library: the interpreter's own frames are passed over, too. */
static void test_library_below_python(void **state)
{
	static const char interpreter[] = "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0";
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_library_frame(site, "g_object_new", 0x1000,
			  "/usr/lib/x86_64-linux-gnu/libgobject-2.0.so.0");
	add_library_frame(site, "cfunction_call", 0x2000, interpreter);
	add_frame(site, "Window.open", 0, 0, "python");
	site->frames.items[2].kind = ML_FRAME_PYTHON;
	add_library_frame(site, "_PyEval_EvalFrameDefault", 0x3000, interpreter);
	site->frames.items[3].is_interpreter = true;
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "Window.open");
	ml_report_deinit(&report);
}

/* Functions without names: the next name in the same module, or in the language above. */
static void test_nameless_functions(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site = add_site(&report);

	add_frame(site, NULL, 0x1000, 0x20, "_json.so");
	add_frame(site, "cfunction_call", 0x2000, 0x420, "python3.11");
	add_frame(site, "JSONEncoder.encode", 0, 0, "python");
	site->frames.items[2].kind = ML_FRAME_PYTHON;
	add_frame(site, "_PyEval_EvalFrameDefault", 0x3000, 0x420, "python3.11");
	site->frames.items[3].is_interpreter = true;
	site = add_site(&report);
	add_frame(site, NULL, 0x1000, 0x20, "dom.so");
	add_frame(site, "execute_ex", 0x2000, 0x420, "php");
	site = add_site(&report);
	add_frame(site, NULL, 0x1000, 0x20, "server");
	add_frame(site, "handle_exported", 0x2000, 0x420, "server");
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "JSONEncoder.encode");
	assert_null(owner_name(&report, 1));
	assert_string_equal(owner_name(&report, 2), "handle_exported");
	ml_report_deinit(&report);
}

/* Where the standard library's own functions have lines. */
static void test_standard_sources(void **state)
{
	static const char *const files[] = {"library/core/src/fmt/num.rs",
					    "/usr/lib/nim/lib/system/mm/malloc.nim",
					    "/usr/include/c++/12/bits/stl_vector.h"};
	struct ml_report report = {0};

	for (size_t i = 0; i < 3; i++) {
		struct ml_report_site *site = add_site(&report);

		add_frame(site, "grow_it", 0x1000, 0x420, "app");
		site->frames.items[0].file = files[i];
		add_frame(site, "serve", 0x2000, 0x420, "app");
	}
	ml_owners_find(&report, NULL);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(owner_name(&report, i), "serve");
	ml_report_deinit(&report);
}

static void test_java(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site;

	for (size_t i = 0; i < 2; i++) {
		site = add_site(&report);
		add_frame(site, i ? "Java_app_Codec_open" : "Unsafe_AllocateMemory0", 0x1000, 0x420,
			  i ? "libcodec.so" : "libjvm.so");
		add_frame(site, "java.nio.ByteBuffer.allocateDirect", 0, 0, "java");
		site->frames.items[1].kind = ML_FRAME_JAVA;
		add_frame(site, "app.Server.serve", 0, 0, "java");
		site->frames.items[2].kind = ML_FRAME_JAVA;
	}
	/* The compiler's threads run no Java. */
	site = add_site(&report);
	add_frame(site, "Compilation::install_code(int)", 0x1000, 0x420, "libjvm.so");
	add_frame(site, "start_thread", 0x2000, 0x420, "libc.so.6");
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "app.Server.serve");
	assert_string_equal(owner_name(&report, 1), "Java_app_Codec_open");
	assert_string_equal(owner_name(&report, 2), "Compilation::install_code(int)");
	ml_report_deinit(&report);
}

/* What calls C.CString(), and C code that allocates by itself. */
static void test_go(void **state)
{
	struct ml_report report = {0};
	struct ml_report_site *site;

	for (size_t i = 0; i < 2; i++) {
		site = add_site(&report);
		if (i)
			add_frame(site, "make_session", 0x1000, 0x420, "server");
		add_frame(site, "_cgo_26baeecbe1df_Cfunc__Cmalloc", 0x2000, 0x420, "server");
		add_frame(site, "runtime.asmcgocall.abi0", 0x3000, 0x420, "server");
		add_frame(site, "runtime.cgocall", 0x4000, 0x420, "server");
		add_frame(site, "main._cgo_cmalloc.abi0", 0x5000, 0x420, "server");
		add_frame(site, "main._Cfunc_CString", 0x6000, 0x420, "server");
		add_frame(site, "main.handle", 0x7000, 0x420, "server");
	}
	ml_owners_find(&report, NULL);
	assert_string_equal(owner_name(&report, 0), "main.handle");
	assert_string_equal(owner_name(&report, 1), "make_session");
	ml_report_deinit(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_libraries_are_not_to_blame),
		cmocka_unit_test(test_short_code_with_many_callers),
		cmocka_unit_test(test_names_that_only_hint),
		cmocka_unit_test(test_known_wrappers),
		cmocka_unit_test(test_patterns_of_the_user),
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_libraries_of_the_system),
		cmocka_unit_test(test_libraries_below_a_stripped_program),
		cmocka_unit_test(test_library_below_python),
		cmocka_unit_test(test_nameless_functions),
		cmocka_unit_test(test_standard_sources),
		cmocka_unit_test(test_java),
		cmocka_unit_test(test_go),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
