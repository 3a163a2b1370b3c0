/* SPDX-License-Identifier: BSD-2-Clause */
/** Every form of operator new that throws does so, caught by its caller's caller; some succeed. */
#include "truth.h"

#include <new>

namespace
{
const size_t TOO_MUCH = (size_t)1 << 62;
const int TIMES = 100;
int handled;

void handler()
{
	handled++;
	throw std::bad_alloc();
}

template <typename Allocate> NOINLINE int count_throws(Allocate allocate)
{
	int caught = 0;

	for (int i = 0; i < TIMES; i++) {
		try {
			truth_keep(allocate());
		} catch (const std::bad_alloc &) {
			caught++;
		}
	}
	return caught;
}

NOINLINE int throw_all()
{
	auto align = (std::align_val_t)256;

	return count_throws([] { return operator new(truth_opaque(TOO_MUCH)); }) +
	       count_throws([] { return operator new[](truth_opaque(TOO_MUCH)); }) +
	       count_throws([=] { return operator new(truth_opaque(TOO_MUCH), align); }) +
	       count_throws([=] { return operator new[](truth_opaque(TOO_MUCH), align); });
}

NOINLINE void leak_between()
{
	truth_keep(operator new(truth_opaque(1021)));
	truth_keep(operator new[](truth_opaque(2039)));
}

NOINLINE void leak_between_aligned()
{
	void *block = truth_keep(operator new(truth_opaque(512), (std::align_val_t)256));

	truth_value("misaligned", (long long)((size_t)block % 256));
}
} // namespace

int main()
{
	int caught;

	truth_ready();
	caught = throw_all();
	leak_between();
	leak_between_aligned();
	std::set_new_handler(handler);
	caught += throw_all();
	truth_value("caught", caught);
	truth_value("handled", handled);
	truth_site("leak_between", 0, 1021 + 2039, 2);
	truth_site("leak_between_aligned", 0, 512, 1);
	truth_done();
	return 0;
}
