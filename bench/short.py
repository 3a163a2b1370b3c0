# SPDX-License-Identifier: BSD-2-Clause
"""Programs that end by themselves: each window is one run of it, alone or started by a tool, and its figure is
the CPU time of the whole program (without what the kernel does for it after its last instruction).
"""
import collections
import json
import os
import shutil
import subprocess

import machine
import pairs
from rows import HERE, Row, start

LIMIT_S = 20  # for one row and tool on a machine that is never quiet
RUN_LIMIT_S = 180
# One run of these takes a minute and more, or they attach only to what runs already.
LEFT_OUT = ("memcheck", "massif", "tcmalloc", "bpftrace")

# report: memleak's last one, if it was there.
Run = collections.namedtuple("Run", "window report")


def build(work):
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", f"{work}/own_time.so", f"{HERE}/own_time.c"], check=True)
    subprocess.run(["g++", "-std=c++17", "-E", "-o", f"{work}/compiled.ii", f"{HERE}/compiled.cc"], check=True)


class Program:
    def __init__(self, command, work):
        self.command, self.work = command, work
        self.time, self.report = f"{work}/own_time", f"{work}/report.json"

    def _environment(self, extra):
        libraries = [extra["LD_PRELOAD"]] if "LD_PRELOAD" in extra else []
        return {**extra, "LD_PRELOAD": ":".join([*libraries, f"{self.work}/own_time.so"]),
                "MEASURED_PROGRAM": os.path.basename(self.command[0]), "MEASURED_TIME": self.time,
                "MEASURED_CORE": str(min(machine.TARGET_CORES))}

    def _report(self):
        try:
            with open(self.report, encoding="utf-8") as lines:
                return json.loads(lines.readlines()[-1])
        except (OSError, IndexError):
            return None

    def run(self, prefix=(), extra=None):
        """Once, from its start to its end."""
        for path in (self.time, self.report):
            if os.path.exists(path):
                os.unlink(path)
        disturbance = machine.Disturbance()
        process = start(prefix, self.command, subprocess.DEVNULL, self._environment(extra or {}))
        try:
            process.wait(RUN_LIMIT_S)
        except subprocess.TimeoutExpired as late:
            raise RuntimeError(f"takes longer than {RUN_LIMIT_S} s") from late
        finally:
            # The tool's children, if it has not ended them.
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
        try:
            with open(self.time, encoding="ascii") as text:
                used_ns = float(text.read())
        except OSError:
            raise RuntimeError(f"{os.path.basename(self.command[0])} did not come to its end") from None
        return Run(pairs.Window(used_ns, disturbance.end()), self._report())


def rows(work):
    """Those that are installed."""
    found, a_run = [], ("ms a run", 1e6)
    compiler = subprocess.run(["g++", "-print-prog-name=cc1plus"], check=False, capture_output=True, text=True)
    options = ["-O1", "-std=c++17", "-o", "/dev/null"]
    commands = [("compiler", "cc1plus -O1, a file with <map>, <regex>, <string>",
                 [compiler.stdout.strip(), "-quiet", "-fpreprocessed", f"{work}/compiled.ii", *options]),
                ("clang", "clang -O1, the same", [shutil.which("clang++") or "", "-S", f"{HERE}/compiled.cc",
                                                  *options])]
    for key, name, command in commands:
        if os.path.isabs(command[0]):
            found.append(Row(key, name, Program(command, work), *a_run, True))
    return found


def is_short(row):
    return isinstance(row.start, Program)


def _run_traced(row, tool, work):
    program = row.start
    if not tool.ours:
        return program.run(tool.prefix, tool.environment)
    run = program.run([*tool.command, "-T", "1", "-w", program.report, "600", "--"])
    if not run.report or not run.report["totals"]["allocs"]:
        raise RuntimeError("saw no allocation")
    return run


def _until(tool, quick):
    return {"wanted": pairs.FEWEST if quick else tool.pairs, "limit_s": LIMIT_S / 2 if quick else LIMIT_S}


def measure(row, tool, work, quick):
    return pairs.summarize(pairs.alternate(lambda: row.start.run(extra=tool.beside).window,
                                           lambda: _run_traced(row, tool, work).window, **_until(tool, quick)))


def pairs_a_unit(row, tool, work):
    return _run_traced(row, tool, work).report["totals"]["allocs"]


def compare(row, tools, work, quick):
    """As costs.compare()."""
    second, both = [], []

    def windows():
        one, two = (_run_traced(row, tool, work).window for tool in tools)
        between = row.start.run().window
        second.append((between, two))
        both.append((one, two))
        return one

    first = pairs.alternate(lambda: row.start.run().window, windows, **_until(tools[0], quick))
    return pairs.summarize(first), pairs.summarize(second), pairs.summarize(both)
