#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How honest the cost in memleak's report is: what it says of a run beside what the program itself saw.

bench/cost.py [MEMLEAK [SECONDS]]: each program prints the CPU time of its rounds. The truth is the share of its CPU
time that is gone when traced, by the medians of rounds without (before and after) and with memleak.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMLEAK = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/memleak")
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 8
OPTIONS = {"bpf": ["--backend", "bpf"], "agent": ["--backend", "agent"], "agent, sampled": ["--backend", "agent", "--sample-bytes", "524288"]}


def programs(work):
    subprocess.run(["gcc", "-O2", "-pthread", "-o", work + "/loop", HERE + "/loop.c"], check=True)
    subprocess.run(["g++", "-O2", "-o", work + "/words", HERE + "/words.cc"], check=True)
    return {"tight loop": [work + "/loop", "tight"], "24 frames": [work + "/loop", "deep"],
            "C++ map of strings": [work + "/words"],
            "sqlite3 in memory": ["/usr/bin/python3", HERE + "/sqlite_rounds.py"]}


def rounds(path, since, until):
    with open(path) as lines:
        fields = [line.split() for line in lines]
    return [float(field[1]) for field in fields if len(field) == 2 and since <= float(field[0]) <= until]


def trace(target, options):
    """(when it was traced, the share it says)"""
    tool = subprocess.Popen([MEMLEAK, "--json", *options, "-p", str(target.pid), "600"], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in tool.stderr:
        if line.startswith("Attaching"):
            break
    start = time.time_ns()
    time.sleep(SECONDS)
    end = time.time_ns()
    tool.send_signal(signal.SIGINT)
    report = json.loads(tool.communicate()[0].splitlines()[-1])
    return (start, end), report["cost"]["target_cpu_fraction"]


def main():
    print("%-22s %-16s %12s %12s %8s" % ("program", "backend", "said", "true", "ratio"))
    with tempfile.TemporaryDirectory() as work:
        for program, command in programs(work).items():
            for backend, options in OPTIONS.items():
                with open(work + "/rounds", "w") as out:
                    target = subprocess.Popen(command + ["100000000"], stdout=out, stdin=subprocess.DEVNULL,
                                              env={**os.environ, "PYTHONUNBUFFERED": "1"})
                time.sleep(0.5)
                first = time.time_ns()
                time.sleep(SECONDS / 2)
                before = (first, time.time_ns())
                during, said = trace(target, options)
                last = time.time_ns()
                time.sleep(SECONDS / 2)
                after = (last, time.time_ns())
                target.kill()
                target.wait()
                untraced = statistics.median(rounds(work + "/rounds", *before) + rounds(work + "/rounds", *after))
                traced = statistics.median(rounds(work + "/rounds", *during))
                true = 1 - untraced / traced
                print("%-22s %-16s %11.2f%% %11.2f%% %8.2f" % (program, backend, 100 * said, 100 * true,
                                                               said / true if true else 0), flush=True)


if __name__ == "__main__":
    main()
