/* SPDX-License-Identifier: BSD-2-Clause */
#include "symbols/demangle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_demangled(const char *mangled, const char *wanted)
{
	char *text = ml_demangle(mangled);

	assert_string_equal(text, wanted);
	free(text);
}

static void assert_shortened(const char *name, unsigned int limit, const char *wanted)
{
	char *text = ml_demangle_shorten(name, limit);

	assert_string_equal(text, wanted);
	free(text);
}

static void reads_cxx_names(void **state)
{
	assert_demangled("_Z3fooi", "foo(int)");
	assert_demangled("_ZN5space3boxIlE5twiceEv", "space::box<long>::twice()");
	assert_demangled("_Znwm", "operator new(unsigned long)");
	/* Without the return type "void" that the name of a template's instance carries. */
	assert_demangled("_Z3barIiEvT_", "bar<int>(int)");
	assert_demangled("_ZNKSt6vectorIiSaIiEE4sizeEv",
			 "std::vector<int, std::allocator<int> >::size() const");
	assert_demangled("_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo()");
}

static void reads_rust_names(void **state)
{
	assert_demangled("_ZN4core3ptr13drop_in_place17h0123456789abcdefE",
			 "core::ptr::drop_in_place");
	assert_demangled("_RNvC7mycrate3foo", "mycrate::foo");
	assert_demangled(
		"_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
		"3bar17h930b740aa94f1d3aE",
		"<Test + 'static as foo::Bar<Test>>::bar");
}

static void reads_d_names(void **state)
{
	assert_demangled("_D8demangle4testFiZv", "demangle.test(int)");
	assert_demangled("_Dmain", "D main");
}

static void leaves_other_names(void **state)
{
	static const char *const names[] = {
		"malloc", "_start", "__libc_start_main", "_Z",   "_R", "_D",
		"",       "_Zfoo",  "main.main",         "a.b.c"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_demangled(names[i], names[i]);
}

static void tells_clones(void **state)
{
	assert_demangled("foo.isra.0", "foo");
	assert_demangled("foo.constprop.0.isra.1", "foo");
	assert_demangled("foo.lto_priv.3", "foo");
	assert_demangled("foo.localalias", "foo");
	assert_demangled("foo.cold", "foo [.cold]");
	assert_demangled("foo.part.0", "foo [.part]");
	assert_demangled("_Z3fooi.part.0.cold", "foo(int) [.cold]");
	assert_demangled("_Z3fooi.constprop.0", "foo(int)");
	assert_demangled("_ZN4core3ptr13drop_in_place17h0123456789abcdefE.llvm.123456",
			 "core::ptr::drop_in_place");
}

/* S_ names that double at every step: 2^N times "int" in the end. */
static void bounds_names_that_explode(void **state)
{
	char name[4096] = "_Z1f";
	size_t at = strlen(name);

	at += (size_t)sprintf(name + at, "St4pairIiiE");
	for (int level = 0; level < 60; level++) {
		char id[16];

		if (level == 0)
			strcpy(id, "S0_");
		else
			sprintf(id, "S%c_", level < 10 ? '0' + level : 'A' + (level - 10) % 26);
		at += (size_t)sprintf(name + at, "St4pairI%s%sE", id, id);
	}

	char *text = ml_demangle(name);

	assert_true(strlen(text) < 70000);
	free(text);
}

/* The same without any output: a pack expansion of 40 levels, 2^40 steps. */
static void bounds_names_that_explode_silently(void **state)
{
	char name[1024] = "_Z1fDpSt4pairI";

	for (int level = 0; level < 40; level++)
		strcat(name, "S_I");
	strcat(name, "iiE");
	for (int level = 0; level < 40; level++) {
		static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
		char id[8];

		snprintf(id, sizeof(id), level < 36 ? "S%c_E" : "S1%c_E", digits[level % 36]);
		strcat(name, id);
	}
	assert_demangled(name, name);
	assert_demangled("_Z1fIJicEEvDpT_", "f<int, char>(int, char)");
}

static void bounds_deep_and_long_names(void **state)
{
	size_t size = 1 << 20;
	char *name = malloc(size + 1);
	static const char *const fillers[] = {"P", "N1a", "St4pairI", "FvP", "DpT_", "R", "1a"};
	static const char *const starts[] = {"_Z1f", "_RNvC1a1b", "_D1f", "_RINvC1a1b", "_Z"};

	for (size_t i = 0; i < sizeof(fillers) / sizeof(*fillers); i++) {
		for (size_t j = 0; j < sizeof(starts) / sizeof(*starts); j++) {
			for (size_t limit = 1000; limit <= size; limit *= 4) {
				size_t at = (size_t)sprintf(name, "%s", starts[j]);

				while (at + 16 < limit)
					at += (size_t)sprintf(name + at, "%s", fillers[i]);
				free(ml_demangle(name));
			}
		}
	}
	free(name);
}

static void survives_random_names(void **state)
{
	static const char letters[] =
		"_ZNSt4pairIiiES0_DpT_RQKCvF1a3foo5E.clone$u7e$17h0123456789abcdefE";
	static const char *const starts[] = {"_Z", "_R", "_D", "_ZN"};

	srandom(5);
	for (int i = 0; i < 20000; i++) {
		char name[300];
		size_t length = 2 + (size_t)random() % 256;
		size_t at = (size_t)sprintf(name, "%s", starts[random() % 4]);

		for (; at < length; at++)
			name[at] = letters[(size_t)random() % (sizeof(letters) - 1)];
		name[at] = '\0';

		char *text = ml_demangle(name);
		char *brief = ml_demangle_shorten(text, 40);

		assert_true(strlen(brief) <= 40);
		free(brief);
		free(text);
	}
}

#define STRING "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"

static void shortens(void **state)
{
	assert_shortened("foo(" STRING " const&)", 200, "foo(std::string const&)");
	assert_shortened("std::__cxx11::list<int>::size()", 200, "std::list<int>::size()");
	assert_shortened("std::map<int, std::vector<int> >::find(int const&)", 40,
			 "std::map<int, std::vector<…> >::find");
	assert_shortened("std::map<int, std::vector<int> >::find(int const&)", 30,
			 "std::map<…>::find");
	assert_shortened("short(int)", 10, "short(int)");
	assert_shortened("short(int)", 9, "short");
	assert_shortened("ns::operator<<(std::ostream&, int)", 20, "ns::operator<<");
	assert_shortened("ns::operator()(std::ostream&, int)", 20, "ns::operator()");
	assert_shortened("(anonymous namespace)::foo(long, long)", 30,
			 "(anonymous namespace)::foo");
	assert_shortened("<alloc::vec::Vec<T> as Clone>::clone", 34,
			 "<alloc::vec::Vec<…> as Clone>…");
	assert_shortened("abcdefghijklmnop", 10, "abcdefg…");
	assert_shortened("abc", 0, "");
	assert_shortened("", 0, "");
}

/* As libstdc++, libLLVM and node have them. */
static void leaves_out_what_everybody_has(void **state)
{
	static const struct {
		const char *mangled, *wanted;
	} names[] = {
		{"_ZNSt6vectorINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESaIS5_EE17_M_"
		 "realloc_insertIJRKS5_EEEvN9__gnu_cxx17__normal_iteratorIPS5_S7_EEDpOT_",
		 "std::vector<std::string>::_M_realloc_insert<std::string const&>("
		 "__gnu_cxx::__normal_iterator<std::string*, std::vector<std::string> >, "
		 "std::string const&)"},
		{"_ZNSt3mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES5_St4lessIS5_"
		 "ESaISt4pairIKS5_S5_EEEixEOS5_",
		 "std::map<std::string, std::string>::operator[](std::string&&)"},
		{"_ZNSt8_Rb_treeINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESt4pairIKS5_"
		 "S5_ESt10_Select1stIS8_ESt4lessIS5_ESaIS8_EE8_M_eraseEPSt13_Rb_tree_nodeIS8_E",
		 "std::_Rb_tree<std::string, std::pair<std::string const, std::string>, "
		 "std::_Select1st<std::pair<std::string const, std::string> > >::_M_erase("
		 "std::_Rb_tree_node<std::pair<std::string const, std::string> >*)"},
		{"_ZNSt10unique_ptrIN4llvm6ModuleESt14default_deleteIS1_EED1Ev",
		 "std::unique_ptr<llvm::Module>::~unique_ptr()"},
		/* Not as an argument of a function, nor in front of others. */
		{"_Z3fooiSaIcE", "foo(int, std::allocator<char>)"},
		{"_ZN3barIiSaIcElE3bazEv", "bar<int, std::allocator<char>, long>::baz()"},
		{"_ZNSt16allocator_traitsISaIcEE8allocateERS0_m",
		 "std::allocator_traits<std::allocator<char> >::allocate(std::allocator<char>&, "
		 "unsigned long)"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *name = ml_demangle(names[i].mangled);

		assert_shortened(name, 400, names[i].wanted);
		free(name);
	}
	assert_shortened("f<a, std::allocator<", 100, "f<a, std::allocator<");
	assert_shortened("f<a, std::less<x>", 100, "f<a, std::less<x>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_cxx_names),
		cmocka_unit_test(reads_rust_names),
		cmocka_unit_test(reads_d_names),
		cmocka_unit_test(leaves_other_names),
		cmocka_unit_test(tells_clones),
		cmocka_unit_test(bounds_names_that_explode),
		cmocka_unit_test(bounds_names_that_explode_silently),
		cmocka_unit_test(bounds_deep_and_long_names),
		cmocka_unit_test(survives_random_names),
		cmocka_unit_test(shortens),
		cmocka_unit_test(leaves_out_what_everybody_has),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
