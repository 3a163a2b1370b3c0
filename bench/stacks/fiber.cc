/* SPDX-License-Identifier: BSD-2-Clause */
/** Leaks on the stack of a Boost.Context fiber, whose first frame is hand-written assembly. */
#include "leak.h"

#include <boost/context/fiber.hpp>

namespace ctx = boost::context;

__attribute__((noinline)) static void in_fiber()
{
	leak_here("Boost.Context fiber");
	__asm__ volatile("" ::: "memory");
}

int main()
{
	leak_ready();
	ctx::fiber fiber([](ctx::fiber &&caller) {
		in_fiber();
		caller = std::move(caller).resume();
		leak_here("Boost.Context fiber, resumed");
		return std::move(caller);
	});

	fiber = std::move(fiber).resume();
	fiber = std::move(fiber).resume();
	return 0;
}
