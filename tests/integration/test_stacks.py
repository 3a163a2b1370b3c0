# SPDX-License-Identifier: BSD-2-Clause
"""Stacks are complete without frame pointers, whatever lies between main and the allocation."""
import json
import subprocess

import pytest

import helpers


def symbols(report, function):
    return [frame["symbol"] for frame in report.sites_of(function)[0]["frames"]]


def in_order(names, expected):
    """@expected occur in @names in this order."""
    rest = iter(names)
    return all(any(name == want for name in rest) for want in expected)


def test_complete_without_frame_pointers(bench):
    _, report, _ = bench.trace("deep", 20)
    for function in ("leak_at_depth", "leak_in_callback", "leak_below_big_frame",
                     "leak_below_huge_frame", "leak_below_alloca"):
        site = report.sites_of(function)[0]
        assert site["stack_end"] == "complete", function
        assert site["frames"][0]["symbol"] == function
        assert site["frames"][-1]["symbol"] in ("_start", "__libc_start_main"), function
        assert "main" in symbols(report, function)
    assert symbols(report, "leak_at_depth").count("descend") == 21
    assert in_order(symbols(report, "leak_in_callback"), ["leak_in_callback", "compare", "qsort_r"])
    assert in_order(symbols(report, "leak_below_big_frame"), ["big_frame", "main"])
    assert in_order(symbols(report, "leak_below_huge_frame"), ["huge_frame", "main"])
    assert in_order(symbols(report, "leak_below_alloca"), ["variable_frame", "main"])


def test_thread_stack_ends_at_clone(bench):
    _, report, _ = bench.trace("threads")
    site = report.sites_of("keep_in_thread")[0]
    assert site["stack_end"] == "complete"
    names = symbols(report, "keep_in_thread")
    assert in_order(names, ["keep_in_thread", "thread", "start_thread", "clone3"])
    assert [frame["module"] for frame in site["frames"]][-2:] == ["libc.so.6"] * 2


def test_depth_limit_is_said(bench):
    _, report, _ = bench.trace("deep", 300)
    site = report.sites_of("leak_at_depth")[0]
    assert len(site["frames"]) >= 100
    assert site["stack_end"] == "depth"
    assert report["caveats"].get("stacks_depth", 0) >= 1


def test_deep_recursion_keeps_the_innermost(bench):
    _, report, _ = bench.trace("deep", 10000)
    site = report.sites_of("leak_at_depth")[0]
    assert site["stack_end"] == "depth"
    assert symbols(report, "leak_at_depth") == ["leak_at_depth"] + ["descend"] * 126


def test_depth_option(bench):
    _, report, _ = bench.trace("deep", 20, options=("--perf-max-stack-depth", "5"))
    site = report.sites_of("leak_at_depth")[0]
    assert site["stack_end"] == "depth" and 3 <= len(site["frames"]) <= 5


def test_inlined_frames(bench, tmp_path):
    """A function that was inlined is a frame of its own, marked as such."""
    source = tmp_path / "inlined.c"
    source.write_text('''#include "truth.h"
static inline __attribute__((always_inline)) void inner(void)
{
	truth_keep(malloc(truth_opaque(101)));
}
static NOINLINE void outer(void)
{
	inner();
}
int main(void)
{
	truth_ready();
	outer();
	truth_site("outer", 0, 101, 1);
	truth_done();
	return 0;
}
''')
    program = tmp_path / "inlined"
    subprocess.run(["gcc", "-O2", "-g", "-I", helpers.TARGETS, str(source), "-o", str(program)],
                   check=True, timeout=60, stdin=subprocess.DEVNULL)
    bench.programs.extra["inlined"] = str(program)
    _, report, _ = bench.trace("inlined")
    frames = report.sites_of("outer")[0]["frames"]
    assert [(frame["symbol"], frame["inlined"], frame["line"]) for frame in frames[:3]] == [
        ("inner", True, 4), ("outer", False, 8), ("main", False, 13)]


@pytest.mark.parametrize("interpreter", ["python3"])
def test_interpreter_stacks_reach_main(bench, interpreter):
    program = bench.program([interpreter, "-c", "import time\nprint(flush=True)\nkept = []\nwhile True:\n"
                             " kept.append(bytearray(10007))\n time.sleep(0.01)\n"])
    helpers.wait_for(program.out, helpers.START_S, "it runs")
    run = bench.attach(program.pid, interval="0.2")
    run.wait_report(lambda report: any(site["count"] >= 23 for site in report.sites))
    run.interrupt()
    report = run.final()
    site = max(report.sites, key=lambda site: site["bytes"])
    assert site["count"] >= 23 and site["bytes"] >= site["count"] * 10007
    assert site["stack_end"] == "complete", site


IMPORTS = "import ctypes, decimal, json, sqlite3, ssl\nkept = [bytearray(1000) for _ in range(1009)]\n"


def check_whole(status, out, err, allocations):
    assert status == 0, err
    report = helpers.Report(json.loads(out.splitlines()[-1]))
    assert report["totals"]["allocs"] > allocations
    # None on a quiet machine; on a busy one a loader's wait may be over first.
    assert report["caveats"].get("stacks_no_unwind_info", 0) <= allocations // 100


def test_libraries_loaded_later(tmp_path):
    """What is loaded while the program runs is known before it allocates."""
    if not helpers.waits_for_loader():
        pytest.skip("before Linux 6.6 loaders do not wait")
    check_whole(*helpers.run_memleak(["--json", "--", "/usr/bin/python3", "-c", IMPORTS],
                                     str(tmp_path), seconds=40), 3000)


def test_exec_is_followed_from_the_start(tmp_path):
    """A program that replaces a traced one is traced from its first allocation on, without -f."""
    if not helpers.waits_for_loader():
        pytest.skip("before Linux 6.6 loaders do not wait")
    command = "exec /usr/bin/python3 -c '%s'" % IMPORTS
    check_whole(*helpers.run_memleak(["--json", "--", "/bin/sh", "-c", command],
                                     str(tmp_path), seconds=40), 3000)


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_handler_on_a_stack_of_its_own(bench, backend):
    """The walk goes on in what the signal interrupted, wherever that stack lies."""
    _, report, _ = bench.trace("altstack", options=("--backend", backend))
    for function, interrupted in (("leak_in_main_handler", "main"),
                                  ("leak_in_thread_handler", "thread")):
        site = report.sites_of(function)[0]
        assert site["stack_end"] == "complete", site
        assert in_order(symbols(report, function), [function, "interrupted", interrupted])
