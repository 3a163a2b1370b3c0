# SPDX-License-Identifier: BSD-2-Clause
"""The text report's layout, line by line."""
import re
import shutil
import subprocess

import pytest

import helpers

HEADER = re.compile(r"\[\d\d:\d\d:\d\d\] Top \d+ stacks with outstanding allocations:$")
BLOCK = re.compile(r"\taddr = [0-9a-f]+ size = \d+$")
SITE = re.compile(r"\t(\d+) bytes in (\d+) allocations from stack$")
FRAME = re.compile(r"\t\t(\S.*\+0x[0-9a-f]+|\S.* \[inlined\]|0x[0-9a-f]+)"
                   r"( \S+:\d+)?( \[inlined\])? \[[^\]]+\]$")
OURS = re.compile(r"(\t\t→ |# )")


def lines_of(bench, name, *options):
    target = bench.target(name)
    run = bench.memleak("-o", "0", *options, "-p", target.pid, "0.3")
    run.wait_attached()
    target.work()
    run.interrupt()
    return target, run.out().splitlines()


def last_report(lines):
    return lines[max(i for i, line in enumerate(lines) if HEADER.match(line)):]


def test_layout(bench):
    target, lines = lines_of(bench, "allocators")
    assert lines[0] == "Attaching to pid %d, Ctrl+C to quit." % target.pid
    for line in lines[1:]:
        assert line == "" or any(pattern.match(line) for pattern in
                                 (HEADER, BLOCK, SITE, FRAME, OURS)), repr(line)


def test_biggest_first_and_top(bench):
    _, lines = lines_of(bench, "allocators", "-T", "4")
    sizes = [int(SITE.match(line).group(1)) for line in last_report(lines) if SITE.match(line)]
    assert sizes == [94208, 18607, 16123, 14720]


def test_sort_by_count(bench):
    _, lines = lines_of(bench, "cross_free", "--sort", "count")
    counts = [int(SITE.match(line).group(2)) for line in last_report(lines) if SITE.match(line)]
    assert counts == sorted(counts, reverse=True) and 23 in counts


def test_frames(bench):
    _, lines = lines_of(bench, "big")
    report = last_report(lines)
    start = next(i for i, line in enumerate(report) if SITE.match(line))
    assert report[start] == "\t10485760 bytes in 10 allocations from stack"
    assert re.match(r"\t\tleak_big\+0x[0-9a-f]+ big\.c:\d+ \[big\]$", report[start + 1])
    assert re.match(r"\t\tmain\+0x[0-9a-f]+ big\.c:\d+ \[big\]$", report[start + 2])


def test_blocks_precede_their_stack(bench):
    _, lines = lines_of(bench, "big", "-a")
    report = last_report(lines)
    site = next(i for i, line in enumerate(report) if SITE.match(line))
    blocks = [line for line in report[:site] if BLOCK.match(line)]
    assert len(blocks) == 10
    assert all(line.endswith("size = 1048576") for line in blocks)


def test_combined_only(bench):
    _, lines = lines_of(bench, "big", "-C")
    assert "\t10485760 bytes in 10 allocations from stack" in last_report(lines)


def test_leak_smaller_than_all_that_is_shown(bench):
    """Twelve big blocks of the start come first, ten of them are shown, and the leak all the same."""
    target = bench.target("small_leak")
    run = bench.memleak("--backend", "bpf", "-o", "0", "-p", target.pid, "0.3")
    run.wait_attached()
    target.tell()
    helpers.wait_for(lambda: "# smaller, but it leaks:\n" in run.out(), 30, "the leak is shown")
    run.interrupt()
    report = last_report(run.out().splitlines())
    assert len([line for line in report if SITE.match(line)]) == 11, report
    leak = report[report.index("# smaller, but it leaks:") + 1:]
    assert SITE.match(leak[0]) and leak[1].startswith("\t\tleak_little+0x")
    assert any("look at leak_little" in line for line in leak)


def test_stripped_program_has_offsets(bench, tmp_path):
    stripped = tmp_path / "stripped"
    shutil.copy(bench.programs["big"], stripped)
    subprocess.run(["strip", str(stripped)], check=True, timeout=20, stdin=subprocess.DEVNULL)
    bench.programs.extra["stripped"] = str(stripped)
    _, lines = lines_of(bench, "stripped")
    report = last_report(lines)
    assert any(re.match(r"\t\t0x[0-9a-f]+ \[stripped\]$", line) for line in report), report
    assert not any("[unknown]" in line for line in report)


def test_hostile_names_are_escaped(bench, tmp_path):
    hostile = tmp_path / "evil\x1b[31m\nname"
    shutil.copy(bench.programs["big"], hostile)
    bench.programs.extra["hostile"] = str(hostile)
    target, lines = lines_of(bench, "hostile")
    assert "\x1b" not in "\n".join(lines)
    assert "\t10485760 bytes in 10 allocations from stack" in last_report(lines)


@pytest.mark.parametrize("options", [("-t",), ("--trace",)])
def test_trace_prints_calls(bench, options):
    target = bench.target("big")
    run = bench.memleak(*options, "-p", target.pid, "0.3")
    run.wait_attached()
    target.work()

    def calls():
        return [line for line in run.out().splitlines() if "malloc" in line and "1048576" in line]
    helpers.wait_for(lambda: len(calls()) >= 10, helpers.START_S, "the calls are printed")
    run.interrupt()
    assert len(calls()) == 10, run.out()
