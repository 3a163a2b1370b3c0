/* SPDX-License-Identifier: BSD-2-Clause */
/** Leaks below what runtimes do with stacks: C++20 coroutines, vfork, the vDSO, late loading. */
#include "leak.h"

#include <coroutine>
#include <dlfcn.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#define NOINLINE __attribute__((noinline))
#define AFTER    __asm__ volatile("" ::: "memory")

/* ---- C++20 coroutines
 * --------------------------------------------------------------------------*/

struct Task {
	struct promise_type {
		std::coroutine_handle<> caller = nullptr;
		Task get_return_object()
		{
			return {std::coroutine_handle<promise_type>::from_promise(*this)};
		}
		std::suspend_always initial_suspend() noexcept
		{
			return {};
		}
		std::suspend_always final_suspend() noexcept
		{
			return {};
		}
		void return_void()
		{
		}
		void unhandled_exception()
		{
		}
	};
	std::coroutine_handle<promise_type> handle;
	bool await_ready()
	{
		return false;
	}
	void await_suspend(std::coroutine_handle<>)
	{
		handle.resume();
	}
	void await_resume()
	{
	}
};

static Task inner()
{
	leak_here("C++20 coroutine, awaited");
	co_return;
}

static Task outer()
{
	leak_here("C++20 coroutine");
	co_await inner();
	co_return;
}

/* ---- the vDSO ---------------------------------------------------------------------------------
 */

static unsigned long vdso;
static volatile int in_vdso;

static void on_timer(int, siginfo_t *, void *context)
{
	unsigned long ip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	if (in_vdso || ip < vdso || ip >= vdso + 0x2000)
		return;
	in_vdso = 1;
	leak_here("signal that interrupts the vDSO");
}

static NOINLINE void read_clock()
{
	struct itimerval often = {{0, 200}, {0, 200}}, never = {};
	struct sigaction action = {};
	struct timespec now;

	vdso = getauxval(AT_SYSINFO_EHDR);
	action.sa_sigaction = on_timer;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (long i = 0; !in_vdso && i < 200000000; i++)
		clock_gettime(CLOCK_MONOTONIC, &now);
	setitimer(ITIMER_REAL, &never, NULL);
	AFTER;
}

/* ---- others -----------------------------------------------------------------------------------
 */

static NOINLINE void vforked()
{
	pid_t pid = vfork();

	if (!pid) {
		leak_here("child of vfork, before its exec");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	AFTER;
}

static NOINLINE int descend(int depth)
{
	if (!depth) {
		leak_here("recursion of 10 000");
		return 0;
	}
	int below = descend(depth - 1);
	AFTER;
	return below + 1;
}

static NOINLINE void load(const char *path)
{
	void *library = dlopen(path, RTLD_LAZY);
	void (*call)(void (*)(const char *)) =
		library ? (void (*)(void (*)(const char *)))dlsym(library, "call_late") : NULL;

	if (call)
		call(leak_here);
	AFTER;
}

extern "C" void leak_from_library(const char *name)
{
	leak_here(name);
}

int main(int argc, char **argv)
{
	leak_ready();
	outer().handle.resume();
	vforked();
	read_clock();
	descend(10000);
	if (argc > 1)
		load(argv[1]);
	return 0;
}
