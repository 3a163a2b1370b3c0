/* SPDX-License-Identifier: BSD-2-Clause */
/** What sqlite_rounds.py does, without Python; prints its CPU nanoseconds for every round. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Of sqlite3.h, so that the library alone will do. */
int sqlite3_open(const char *name, void **base);
int sqlite3_exec(void *base, const char *sql, int (*row)(void *, int, char **, char **),
		 void *context, char **error);

static const char fill[] =
	"create table item(id integer primary key, name text, number integer);"
	"with recursive n(i) as (select 0 union all select i + 1 from n where i < 4999)"
	" insert into item(name, number) select 'name ' || (i * 7919 % 5000), i % 97 from n;";
static const char queries[] =
	"select number, count(*), max(name), group_concat(name) from item group by number"
	" order by 2, 3;"
	"select a.name from item a join item b on a.number = b.id where a.name like '%9%'"
	" order by a.name limit 10;";

static double now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int count_row(void *context, int columns, char **values, char **names)
{
	(void)columns, (void)values, (void)names;
	++*(unsigned long *)context;
	return 0;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100;
	unsigned long rows = 0;
	void *base;

	if (sqlite3_open(":memory:", &base) || sqlite3_exec(base, fill, NULL, NULL, NULL))
		return 1;
	for (int round = 0; round < rounds; round++) {
		double start = now_ns(CLOCK_PROCESS_CPUTIME_ID);

		for (int i = 0; i < 3; i++)
			if (sqlite3_exec(base, queries, count_row, &rows, NULL))
				return 1;
		printf("%.0f %.0f\n", now_ns(CLOCK_REALTIME),
		       now_ns(CLOCK_PROCESS_CPUTIME_ID) - start);
		fflush(stdout);
		usleep(1000);
	}
	return 0;
}
