# SPDX-License-Identifier: BSD-2-Clause
"""The benchmarks: prints the tables of docs/PERFORMANCE.md.

  run.py [build/memleak] [--rows KEY,...] [--tools KEY,...] [--tables NAME,...] [--quick] [--json FILE]
  run.py --compare OLD NEW [--rows KEY,...] [--tools agent-exact,...] [--quick]

The second form measures two builds of memleak in turn on one process. --list prints the keys.
"""
import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time

import attaching
import costs
import extras
import machine
import memory
import rows
import short
import tables
import threads
import tools


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("memleak", nargs="?", default="build/memleak")
    parser.add_argument("--rows", help="only these workloads")
    parser.add_argument("--tools", help="only these tools")
    parser.add_argument("--tables", help="only these tables: " + ",".join(TABLES))
    parser.add_argument("--quick", action="store_true", help="the fewest pairs that will do")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--compare", nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def chosen(things, keys):
    wanted = keys.split(",") if keys else None
    unknown = set(wanted or ()) - {thing.key for thing in things}
    if unknown:
        sys.exit(f"no {', '.join(sorted(unknown))}; there are {', '.join(thing.key for thing in things)}")
    return [thing for thing in things if not wanted or thing.key in wanted]


def all_rows(work):
    return rows.rows(work) + short.rows(work)


def say(line):
    print(line, flush=True)


# Of one cell or table; the others are still wanted.
FAILURES = (RuntimeError, OSError, subprocess.SubprocessError)


class Run:
    """What the tables share: the options, the folder for files, where figures go."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.memleak = os.path.abspath(options.memleak)
        self.tools = tools.ours(self.memleak) + tools.peers(work)
        self.rows = all_rows(work)
        self.record = {}

    def chosen_tools(self, among=None):
        named = chosen(self.tools, self.options.tools)
        return [tool for tool in named if (tool.key in among if among else tool.usual or self.options.tools)]

    def list_of(self, table):
        return self.record.setdefault(table, [])

    def cost(self):
        found = []
        tables.cost_header(say)
        for row in chosen(self.rows, self.options.rows):
            try:
                pairs_a_unit = costs.pairs_a_unit(row, self.tools[0], self.work)
            except FAILURES as error:
                say(tables.failed_line(row, self.tools[0], error))
                pairs_a_unit = None
            for tool in self.chosen_tools():
                if short.is_short(row) and tool.key in short.LEFT_OUT:
                    continue
                entry = {"row": row.key, "tool": tool.key, "pairs_a_unit": pairs_a_unit}
                self.list_of("cost").append(entry)
                try:
                    result = costs.measure(row, tool, self.work, self.options.quick)
                except FAILURES as error:
                    say(tables.failed_line(row, tool, error))
                    entry["failed"] = str(error)
                    continue
                found.append((row, tool, result))
                say(tables.cost_line(row, tool, result, pairs_a_unit))
                entry.update(dataclasses.asdict(result))
        tables.summary(found, say, self.list_of("standing"))

    def memory(self):
        memory.build(self.work)
        counts = memory.COUNTS[:2] if self.options.quick else memory.COUNTS
        memory.table(self.work, self.chosen_tools(memory.TOOLS), counts, say, self.list_of("memory"))

    def scaling(self):
        threads.scaling_table(self.work, self.chosen_tools(OURS), self.options.quick, say, self.list_of("scaling"))

    def afterwards(self):
        wanted = [row for row in chosen(self.rows, self.options.rows) if row.key in ("tight", "sqlite", "redis")]
        threads.afterwards_table(self.work, wanted, self.chosen_tools(OURS[:1]), self.options.quick, say,
                                 self.list_of("afterwards"))

    def attaching(self):
        os.sched_setaffinity(0, machine.CORES)
        attaching.threads_table(self.memleak, self.work, say, self.list_of("attaching"))
        attaching.huge_table(self.memleak, self.work, say, self.list_of("attaching"))

    def programs(self):
        """Benchmarks that are programs of their own, where they are."""
        os.sched_setaffinity(0, machine.CORES)
        for title, command in extras.commands(self.memleak):
            text = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  text=True).stdout.strip()
            say(f"\n## {title}\n\n" + (text if text.startswith("|") else f"```\n{text}\n```"))
            self.list_of("programs").append({"title": title, "text": text})


TABLES = ("cost", "memory", "scaling", "afterwards", "attaching", "programs")
OURS = ("agent-exact", "agent-sampled", "bpf-exact", "bpf-sampled")


def compare_builds(options, work):
    old, new = ({tool.key: tool for tool in tools.ours(os.path.abspath(path))} for path in options.compare)
    say("| workload | mode | old | new | new / old, whole | added, old | added, new |\n|---|---|---|---|---|---|---|")
    for row in chosen(all_rows(work), options.rows):
        for key in (options.tools or "agent-exact,agent-sampled").split(","):
            one, two, both = costs.compare(row, (old[key], new[key]), work, options.quick)
            say(tables.compare_line(row, old[key], one, two, both))


def main():
    options = parse()
    os.sched_setaffinity(0, machine.TOOL_CORES)
    with tempfile.TemporaryDirectory() as work:
        if options.list:
            print("rows: ", *(row.key for row in all_rows(work)))
            print("tools:", *(tool.key for tool in tools.ours("") + tools.peers(work)))
            return
        load, quiet = machine.describe_load()
        say(f"{load}.\n")
        rows.build(work)
        short.build(work)
        if options.compare:
            compare_builds(options, work)
            return
        start = time.monotonic()
        run = Run(options, work)
        for table in options.tables.split(",") if options.tables else TABLES:
            os.sched_setaffinity(0, machine.TOOL_CORES)
            try:
                getattr(run, table)()
            except FAILURES as error:
                say(f"\n{table} did not work: {error}")
            if options.json:
                with open(options.json, "w", encoding="utf-8") as out:
                    json.dump({"load": load, "quiet": quiet, **run.record}, out, indent=1)
        say(f"\n{time.monotonic() - start:.0f} s; at the end: {machine.describe_load()[0]}.")


main()
