/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Every form of operator new and delete from before main() on, each with its own count of blocks
 * that leak; what cannot be had with std::nothrow is null.
 */
#include "truth.h"

#include <new>

namespace
{
const std::align_val_t WIDE = (std::align_val_t)64;
const size_t TOO_MUCH = (size_t)1 << 60;

NOINLINE void leak_before_main()
{
	for (int i = 0; i < 11; i++)
		truth_keep(new char[truth_opaque(77)]);
}

struct early {
	early()
	{
		leak_before_main();
	}
} early;

NOINLINE void leak_new()
{
	truth_keep(operator new(truth_opaque(103)));
}

NOINLINE void leak_new_array()
{
	truth_keep(operator new[](truth_opaque(211)));
}

NOINLINE void leak_new_nothrow()
{
	truth_keep(operator new(truth_opaque(307), std::nothrow));
}

NOINLINE void leak_new_array_nothrow()
{
	truth_keep(operator new[](truth_opaque(401), std::nothrow));
}

NOINLINE void leak_new_aligned()
{
	truth_keep(operator new(truth_opaque(192), WIDE));
}

NOINLINE void leak_new_array_aligned()
{
	truth_keep(operator new[](truth_opaque(320), WIDE));
}

NOINLINE void leak_new_aligned_nothrow()
{
	truth_keep(operator new(truth_opaque(448), WIDE, std::nothrow));
}

NOINLINE void delete_all()
{
	operator delete(truth_keep(operator new(truth_opaque(999))));
	operator delete(truth_keep(operator new(truth_opaque(499))), 499);
	operator delete(truth_keep(operator new(truth_opaque(498))), std::nothrow);
	operator delete[](truth_keep(operator new[](truth_opaque(497))));
	operator delete[](truth_keep(operator new[](truth_opaque(496))), 496);
	operator delete(truth_keep(operator new(truth_opaque(128), WIDE)), WIDE);
	operator delete[](truth_keep(operator new[](truth_opaque(192), WIDE)), WIDE);
	operator delete(truth_keep(operator new(truth_opaque(256), std::nothrow)));
}

NOINLINE int count_nulls()
{
	return !truth_keep(operator new(truth_opaque(TOO_MUCH), std::nothrow)) +
	       !truth_keep(operator new[](truth_opaque(TOO_MUCH), std::nothrow)) +
	       !truth_keep(operator new(truth_opaque(TOO_MUCH), WIDE, std::nothrow));
}
} // namespace

int main()
{
	const int rounds = 29;
	int nulls = 0;

	truth_ready();
	for (int i = 0; i < rounds; i++) {
		leak_new();
		leak_new_array();
		leak_new_nothrow();
		leak_new_array_nothrow();
		leak_new_aligned();
		leak_new_array_aligned();
		leak_new_aligned_nothrow();
		delete_all();
		nulls += count_nulls();
	}
	truth_site("leak_before_main", 0, 77 * 11, 11);
	truth_site("leak_new", 0, 103 * rounds, rounds);
	truth_site("leak_new_array", 0, 211 * rounds, rounds);
	truth_site("leak_new_nothrow", 0, 307 * rounds, rounds);
	truth_site("leak_new_array_nothrow", 0, 401 * rounds, rounds);
	truth_site("leak_new_aligned", 0, 192 * rounds, rounds);
	truth_site("leak_new_array_aligned", 0, 320 * rounds, rounds);
	truth_site("leak_new_aligned_nothrow", 0, 448 * rounds, rounds);
	truth_site("delete_all", 0, 0, 0);
	truth_value("nulls", nulls);
	truth_done();
	return 0;
}
