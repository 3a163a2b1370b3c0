# SPDX-License-Identifier: BSD-2-Clause
"""--trace: every call as a line, the same by either backend."""
import re
import time

import pytest

import helpers

BACKENDS = ["agent", "bpf"]
ROUNDS = 10
DAY_S = 86400
LINE = re.compile(r"^(?P<time>\d\d:\d\d:\d\d\.\d{6}) +(?P<pid>\d+)\((?P<tid>\d+)\) +(?P<comm>\S.*?) +"
                  r"(?P<function>\w+) +(?P<size>\d+|-) +(?P<address>0x[0-9a-f]+)"
                  r"(?P<old> \(was 0x[0-9a-f]+\))?$")


def calls(run):
    """What is printed so far, complete lines only."""
    text = run.out()
    matches = map(LINE.match, text[:text.rfind("\n") + 1].splitlines())
    return [match for match in matches if match]


def start(bench, backend, *options, target=("calls",)):
    target = bench.target(*target)
    run = bench.memleak("--backend", backend, "-t", *options, "-p", target.pid, "0.5")
    run.wait_attached()
    return target, run


def trace(bench, backend, *options):
    """The lines of calls.c, thread after thread, and the run."""
    target, run = start(bench, backend, *options)
    target.tell()
    for number in (1, 2):
        helpers.wait_for(lambda: sum(line["size"] == "5001" for line in calls(run)) ==
                         number * ROUNDS, helpers.START_S, "the calls of a thread are printed")
        target.tell()
    target.wait_event("done")
    run.interrupt()
    lines = calls(run)
    printed = [line for line in run.out().splitlines()
               if line and not line.startswith(("Attaching", "TIME"))]
    assert len(lines) == len(printed), printed
    return lines, run, target


def without_places(lines, target):
    """The lines without addresses and times; threads by their names."""
    assert {line["pid"] for line in lines} == {str(target.pid)}
    return [(line["tid"] == line["pid"], line["comm"], line["function"], line["size"],
             bool(line["old"])) for line in lines]


def test_both_backends_print_the_same(bench):
    printed = []
    for backend in BACKENDS:
        lines, run, target = trace(bench, backend)
        printed.append(without_places(lines, target))
        times = [line["time"] for line in lines]
        assert times == sorted(times), backend
        assert re.search(r"%d allocations of \d+ bytes, %d frees" % (
            sum(line["function"] not in ("free", "munmap") for line in lines),
            sum(line["function"] in ("free", "munmap") or bool(line["old"]) for line in lines)),
            run.err()), run.err()
        assert "not printed" not in run.err()
    assert printed[0] == printed[1]
    sizes = [size for _, _, _, size, _ in printed[0]]
    for size in (1001, 1003, 1004, 1088, 2003, 3003):
        assert sizes.count(str(size)) == ROUNDS, size
    assert {comm for _, comm, _, size, _ in printed[0] if size == "5001"} == {
        "first thread", "second thread"}
    assert [(function, old) for _, _, function, _, old in printed[0]
            if function in ("mmap", "mremap", "munmap")][-3:] == [
                ("mmap", False), ("mremap", True), ("munmap", False)]


@pytest.mark.parametrize("options", [("-z", 1004, "-Z", 2003), ("-s", 7), ("--sample-bytes", 4096)])
def test_filters_are_the_same(bench, options):
    """Sizes are filtered, sampling is not: every call is printed."""
    printed = [without_places(lines, target)
               for lines, _, target in (trace_some(bench, backend, options)
                                        for backend in BACKENDS)]
    assert printed[0] == printed[1]
    sizes = {size for _, _, _, size, _ in printed[0]}
    assert {"1004", "2003"} <= sizes
    assert ("1001" in sizes) == (options[0] != "-z")


def trace_some(bench, backend, options):
    """The lines of one thread."""
    target, run = start(bench, backend, *options)
    target.tell()
    helpers.wait_for(lambda: any(line["function"] == "munmap" for line in calls(run)),
                     helpers.START_S, "the last call is printed")
    run.interrupt()
    lines = [line for line in calls(run) if line["tid"] == line["pid"]]
    last = [line["function"] for line in lines].index("munmap")
    return lines[:last + 1], run, target


@pytest.mark.parametrize("backend", BACKENDS)
def test_times_are_those_of_the_calls(bench, backend):
    """Lines are printed while the program goes on, and say when the calls were."""
    target, run = start(bench, backend)
    before = time.time()
    target.tell()
    line = helpers.wait_for(lambda: calls(run)[:1], helpers.START_S, "a line")[0]
    after = time.time()
    assert target.is_running() and run.is_running()
    assert 0 <= (seconds(line["time"]) - before) % DAY_S <= after - before
    run.interrupt()


def seconds(clock):
    """Seconds of the clock @clock since an epoch, but for whole days."""
    today = time.localtime()
    hours, minutes, rest = clock.split(":")
    return time.mktime((today.tm_year, today.tm_mon, today.tm_mday, int(hours), int(minutes), 0,
                        0, 0, -1)) + float(rest)


def test_what_is_not_printed_is_counted(bench):
    """A program that is faster than the printer is not held up; each call is a line or a number."""
    target, run = start(bench, "agent", target=("churn", 300000))
    target.work(40)
    run.interrupt()
    said = target.values()
    printed = re.search(r"(\d+) allocations of \d+ bytes, (\d+) frees", run.err())
    lost = re.search(r"(\d+) calls not printed by --trace", run.err())
    lines = [line for line in run.out().splitlines() if " 0x" in line]
    old = sum("(was " in line for line in lines)
    assert int(printed[1]) + int(printed[2]) == len(lines) + old
    assert len(lines) + int(lost[1] if lost else 0) == said["allocs"] + said["frees"]
