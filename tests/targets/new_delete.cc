/* SPDX-License-Identifier: BSD-2-Clause */
/** Every form of operator new leaks a known number of bytes; every form of delete frees. */
#include "truth.h"

#include <new>

namespace shop
{
struct order {
	char text[103];
};
struct alignas(64) wide_order {
	char text[192];
};

template <typename Item> NOINLINE void leak_new()
{
	truth_keep(new Item);
}

NOINLINE void leak_new_array()
{
	truth_keep(new char[truth_opaque(211)]);
}

NOINLINE void leak_new_nothrow()
{
	truth_keep(new (std::nothrow) char[truth_opaque(307)]);
}

NOINLINE void leak_new_aligned()
{
	truth_keep(new wide_order);
}

NOINLINE void delete_everything()
{
	order *one = static_cast<order *>(truth_keep(new order));
	char *many = static_cast<char *>(truth_keep(new char[truth_opaque(999)]));
	wide_order *wide = static_cast<wide_order *>(truth_keep(new wide_order));
	void *raw = truth_keep(::operator new(truth_opaque(499)));

	delete one;
	delete[] many;
	delete wide;
	::operator delete(raw, 499);
}
} // namespace shop

int main()
{
	constexpr int rounds = 23;

	truth_ready();
	for (int i = 0; i < rounds; i++) {
		shop::leak_new<shop::order>();
		shop::leak_new_array();
		shop::leak_new_nothrow();
		shop::leak_new_aligned();
		shop::delete_everything();
	}
	truth_site("leak_new", 0, 103 * rounds, rounds);
	truth_site("leak_new_array", 0, 211 * rounds, rounds);
	truth_site("leak_new_nothrow", 0, 307 * rounds, rounds);
	truth_site("leak_new_aligned", 0, 192 * rounds, rounds);
	truth_site("delete_everything", 0, 0, 0);
	truth_done();
	return 0;
}
