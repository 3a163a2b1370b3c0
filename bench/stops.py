#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long the agent stops a program, by the program's number of threads.

bench/stops.py [first] [MEMLEAK[,OTHER...] [RUNS [THREADS...]]]: the least and the median of RUNS (9) sessions, in
microseconds; several builds take turns. "said" is the longest stop of a thread that memleak -v says; "seen" is the
longest gap of a thread of the program that reads the clock all the time; both while attaching and while detaching.
"idle" is such a gap in a tenth of a second without memleak: what the machine does by itself. The first line says
what else runs. With "first" the program comes before all others (SCHED_FIFO), so that these disturb it less:
on a machine of your own, since it slows them down. Sessions in which the clock could not be read to the end are
left out.
"""
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import machine

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST = "first" in sys.argv
WORDS = [word for word in sys.argv[1:] if word != "first"]
BUILDS = [os.path.abspath(path) for path in (WORDS[0] if WORDS else "build/memleak").split(",")]
RUNS = int(WORDS[1]) if len(WORDS) > 1 else 9
THREADS = [int(word) for word in WORDS[2:]] or [1, 50, 1000]
SAID = re.compile(r"was stopped (\d+) times, for \d+ microseconds at most:([ \d]*)")
# The stops while attaching: the main thread's, and all threads'.
ATTACHING = 2
FIGURES = ["idle", "attach_said", "attach_seen", "detach_said", "detach_seen"]


def watch(target):
    """Begins a watch, or ends it: the longest gap."""
    target.stdin.write("\n")
    target.stdin.flush()
    return int(target.stdout.readline())


def session(target, memleak):
    """One run of memleak: figures by name."""
    watch(target)
    time.sleep(0.1)
    found = {"idle": watch(target)}
    watch(target)
    start = time.monotonic()
    tool = subprocess.Popen([memleak, "-v", "--backend", "agent", "-p", str(target.pid), "60"], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in tool.stdout:
        if line.startswith("Attaching"):
            break
    found["attach_ms"] = (time.monotonic() - start) * 1000
    found["attach_seen"] = watch(target)
    time.sleep(0.3)
    watch(target)
    start = time.monotonic()
    tool.send_signal(signal.SIGINT)
    said = SAID.search(tool.stdout.read())
    tool.wait()
    found["detach_ms"] = (time.monotonic() - start) * 1000
    found["detach_seen"] = watch(target)
    found["stops"] = int(said.group(1))
    stops = [int(word) for word in said.group(2).split()]
    found["attach_said"], found["detach_said"] = max(stops[:ATTACHING]), max(stops[ATTACHING:])
    return found if min(found[name] for name in FIGURES) >= 0 else None


def print_rows(threads, runs):
    for memleak in BUILDS:
        if not runs[memleak]:
            print("%7d each session took too long" % threads)
            continue
        row = "%7d %5.0f" % (threads, statistics.median(run["stops"] for run in runs[memleak]))
        for name in FIGURES:
            values = [run[name] for run in runs[memleak]]
            row += " %6.0f %6.0f" % (min(values), statistics.median(values))
        for name in ("attach_ms", "detach_ms"):
            row += " %9.0f" % statistics.median(run[name] for run in runs[memleak])
        print(row + (" " + memleak if len(BUILDS) > 1 else ""), flush=True)


def main():
    print(machine.describe_load()[0])
    print("%7s %5s" % ("threads", "stops") + " %13s" * len(FIGURES) % tuple(FIGURES) + " %9s %9s" % (
        "attach ms", "detach ms"))
    with tempfile.TemporaryDirectory() as work:
        program = work + "/stops"
        subprocess.run(["gcc", "-O2", "-pthread", "-o", program, HERE + "/stops.c"], check=True)
        for threads in THREADS:
            command = (["chrt", "-f", "1"] if FIRST else []) + [program, str(threads)]
            target = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            time.sleep(0.5)
            runs = {memleak: [] for memleak in BUILDS}
            for _ in range(RUNS):
                for memleak in BUILDS:
                    found = session(target, memleak)
                    if found:
                        runs[memleak].append(found)
            target.stdin.close()
            target.wait()
            print_rows(threads, runs)


if __name__ == "__main__":
    main()
