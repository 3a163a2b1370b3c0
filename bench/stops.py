#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long the agent stops a program, by the program's number of threads.

bench/stops.py [MEMLEAK [RUNS [THREADS...]]]: medians over RUNS (7) sessions of a second each. "said" is what
memleak -v says; "seen" is the longest gap that a thread of the program saw which reads the clock all the time,
while memleak attached, and while it detached; "idle" such a gap without memleak, in a second: what the machine
does by itself.
"""
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMLEAK = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/memleak")
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
THREADS = [int(word) for word in sys.argv[3:]] or [1, 50, 1000]
SAID = re.compile(r"was stopped (\d+) times, for (\d+) microseconds at most")


def gap(target):
    target.stdin.write("\n")
    target.stdin.flush()
    return int(target.stdout.readline())


def session(target):
    """One run of memleak: figures by name."""
    gap(target)
    time.sleep(1)
    found = {"idle": gap(target)}
    start = time.monotonic()
    tool = subprocess.Popen([MEMLEAK, "-v", "--backend", "agent", "-p", str(target.pid), "60"], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in tool.stdout:
        if line.startswith("Attaching"):
            break
    found["attach"] = (time.monotonic() - start) * 1000
    found["attach_seen"] = gap(target)
    time.sleep(0.5)
    gap(target)
    start = time.monotonic()
    tool.send_signal(signal.SIGINT)
    said = SAID.search(tool.stdout.read())
    tool.wait()
    found["detach"] = (time.monotonic() - start) * 1000
    found["detach_seen"] = gap(target)
    found["stops"], found["said"] = (int(word) for word in said.groups())
    return found


def main():
    print("%7s %6s %9s %9s %12s %12s %10s %10s" % ("threads", "stops", "said us", "idle us", "attach: us", "detach: us",
                                                "attach ms", "detach ms"))
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["gcc", "-O2", "-pthread", "-o", work + "/stops", HERE + "/stops.c"], check=True)
        for threads in THREADS:
            target = subprocess.Popen([work + "/stops", str(threads)], text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
            time.sleep(0.5)
            runs = [session(target) for _ in range(RUNS)]
            target.stdin.close()
            target.wait()
            print("%7d %6.0f %9.0f %9.0f %12.0f %12.0f %10.0f %10.0f" % tuple(
                [threads] + [statistics.median(run[name] for run in runs) for name in (
                    "stops", "said", "idle", "attach_seen", "detach_seen", "attach", "detach")]), flush=True)


if __name__ == "__main__":
    main()
