# SPDX-License-Identifier: BSD-2-Clause
# An SQLite workload in memory; prints its CPU nanoseconds for every round.
import sqlite3
import sys
import time

base = sqlite3.connect(":memory:")
base.execute("create table item(id integer primary key, name text, number integer)")
base.executemany("insert into item(name, number) values (?, ?)",
                 (("name %d" % (i * 7919 % 5000), i % 97) for i in range(5000)))
for _ in range(int(sys.argv[1])):
    start = time.process_time_ns()
    for _ in range(3):
        base.execute("select number, count(*), max(name), group_concat(name) from item group by number"
                     " order by 2, 3").fetchall()
        base.execute("select a.name from item a join item b on a.number = b.id where a.name like '%9%'"
                     " order by a.name limit 10").fetchall()
    print(time.time_ns(), time.process_time_ns() - start, flush=True)
    time.sleep(0.001)
