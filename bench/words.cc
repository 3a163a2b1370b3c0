/* SPDX-License-Identifier: BSD-2-Clause */
/* A C++ workload: strings in maps, built and dropped; prints its CPU seconds for every round. */
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100;

	for (int round = 0; round < rounds; round++) {
		double start = now(CLOCK_PROCESS_CPUTIME_ID);
		std::map<std::string, std::vector<std::string>> words;

		for (int i = 0; i < 4000; i++) {
			std::string key = "a key that is too long for the small string " +
					  std::to_string(i % 1500);
			words[key].push_back("and a value that is as long as that " +
					     std::to_string(i));
		}
		printf("%.0f %.0f\n", now(CLOCK_REALTIME), now(CLOCK_PROCESS_CPUTIME_ID) - start);
		fflush(stdout);
		usleep(1000);
	}
}
