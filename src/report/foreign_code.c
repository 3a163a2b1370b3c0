/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/foreign_code.h"

#include "base/prefix.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool ml_foreign_is_runtime(const char *module)
{
	static const char *const names[] = {
		"libc.so",
		"libc-2.",
		"ld-linux",
		"ld-musl",
		"libstdc++.so",
		"libc++.so",
		"libc++abi.so",
		"libgcc_s.so",
		"libjemalloc",
		"libtcmalloc",
		"libmimalloc",
		"libtbbmalloc",
		"libsupc++",
		"libpthread",
		"[vdso]",
		"libasan.so",
		/* calls of C functions out of other languages */
		"libffi.so",
		"_ctypes.",
		"_cffi_backend.",
	};

	return ml_has_prefix_of(module, names, COUNT(names));
}

bool ml_foreign_is_allocator(const struct ml_report_frame *frame)
{
	static const char *const libraries[] = {"libjemalloc", "libtcmalloc", "libmimalloc",
						"libtbbmalloc"};

	static const char *const functions[] = {"MallocExtension::", "x_cgo_mmap"};

	return ml_has_prefix_of(frame->module, libraries, COUNT(libraries)) ||
	       ml_has_prefix_of(frame->symbol, functions, COUNT(functions));
}

bool ml_foreign_is_standard_source(const char *file)
{
	static const char *const places[] = {"/include/c++/",
					     "/c++/v1/",
					     "/rustc/",
					     "/libstdc++-v3/",
					     "/rustlib/src/rust/library/",
					     "/nim/lib/system/"};
	/* Rust's libraries as they are compiled with it. */
	static const char *const relative[] = {"library/alloc/src/", "library/core/src/",
					       "library/std/src/"};

	for (size_t i = 0; file && i < COUNT(places); i++)
		if (strstr(file, places[i]))
			return true;
	return ml_has_prefix_of(file, relative, COUNT(relative));
}

bool ml_foreign_is_bridge(const char *symbol)
{
	static const char *const names[] = {"_cgo_", "runtime.asmcgocall", "runtime.cgocall"};

	return symbol && (ml_has_prefix_of(symbol, names, COUNT(names)) ||
			  strstr(symbol, "._Cfunc_") || strstr(symbol, "._cgo_cmalloc"));
}

/* How long the beginning of @path is that names one of the linker's own directories; 0: none. */
static size_t linker_directory(const char *path)
{
	static const char *const places[] = {"/usr/lib64/", "/usr/lib/", "/lib64/", "/lib/"};
	const char *slash;
	size_t length = 0;

	for (size_t i = 0; i < COUNT(places) && !length; i++)
		if (ml_has_prefix(path, places[i]))
			length = strlen(places[i]);
	/* Debian's directories of an architecture: /usr/lib/x86_64-linux-gnu/ */
	slash = length ? strchr(path + length, '/') : NULL;
	if (slash && memmem(path + length, (size_t)(slash - path) - length, "-linux-", 7))
		length = (size_t)(slash + 1 - path);
	return length;
}

bool ml_foreign_is_library(const struct ml_report_frame *frame)
{
	size_t directory = frame->module_path && !frame->file && frame->kind == ML_FRAME_NATIVE
				   ? linker_directory(frame->module_path)
				   : 0;

	return directory && !strchr(frame->module_path + directory, '/');
}

bool ml_foreign_is_jdk(const struct ml_report_frame *frame)
{
	static const char *const libraries[] = {"libjvm.so", "libjava.so", "libzip.so",
						"libnio.so", "libnet.so",  "libjimage.so"};
	static const char *const packages[] = {"java.", "javax.", "jdk.", "sun.", "com.sun."};

	if (frame->kind == ML_FRAME_JAVA)
		return ml_has_prefix_of(frame->symbol, packages, COUNT(packages));
	return frame->kind == ML_FRAME_NATIVE &&
	       (ml_has_prefix_of(frame->module, libraries, COUNT(libraries)) ||
		ml_foreign_is_library(frame));
}
