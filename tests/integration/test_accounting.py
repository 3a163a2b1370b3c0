# SPDX-License-Identifier: BSD-2-Clause
"""memleak's figures against the programs' own: bytes, counts, lines."""
import os
import signal
import subprocess

import pytest

import helpers


def check_sites(truth, report, counts=True):
    for function, site in truth.items():
        bytes_, count = report.site(function)
        assert bytes_ == site["bytes"], function
        if counts:
            assert count == site["count"], function


def test_every_allocation_function(bench):
    truth, report, _ = bench.trace("allocators")
    check_sites(truth, report)
    for function, site in truth.items():
        if site["line"]:
            assert report.line(function) == site["line"], function
    frame = report.sites_of("leak_malloc")[0]["frames"][0]
    assert frame["symbol"] == "leak_malloc", "the caller of malloc is the first frame"
    assert frame["file"].endswith("allocators.c")


def test_big_blocks_are_counted_once(bench):
    truth, report, _ = bench.trace("big")
    check_sites(truth, report)
    assert report["totals"]["outstanding_bytes"] == 10 << 20, "malloc's own mmap was booked too"
    assert report.line("leak_big") == truth["leak_big"]["line"]


def test_thread_stacks_and_arenas_are_not_leaks(bench):
    truth, report, _ = bench.trace("threads")
    check_sites(truth, report)
    # The thread library's own small blocks may be there; stacks of 8 MiB and arenas may not.
    assert report["totals"]["outstanding_bytes"] < 16384


def test_maps(bench):
    truth, report, _ = bench.trace("mappings")
    check_sites(truth, report, counts=False)
    assert report.site("failed_realloc") == (7777, 1)


def test_free_by_another_thread(bench):
    truth, report, _ = bench.trace("cross_free")
    check_sites(truth, report)


def test_realloc(bench):
    truth, report, _ = bench.trace("realloc")
    check_sites(truth, report)


def test_new_and_delete(bench):
    truth, report, _ = bench.trace("new_delete")
    check_sites(truth, report)
    symbols = {site["frames"][0]["symbol"] for site in report.sites}
    assert any("shop::leak_new_array" in symbol for symbol in symbols), symbols
    assert not any("operator new" in symbol for symbol in symbols), symbols


# Not "auto": a call that is under way when a process moves to the agent may have its stack cut.
EACH_BACKEND = pytest.mark.parametrize("backend", ["bpf", "agent"])


@EACH_BACKEND
def test_churn_adds_up(bench, backend):
    truth, report, target = bench.trace("churn", 300000, options=("--backend", backend), seconds=40)
    check_sites(truth, report)
    said = target.values()
    assert report["totals"]["allocs"] == said["allocs"]
    assert report["totals"]["frees"] == said["frees"]
    assert report["totals"]["untracked_frees"] == 0
    # A frame of the C library without a name makes no figure wrong.
    assert not report["caveats"].keys() - {"frames_unsymbolized"}, report["caveats"]


@EACH_BACKEND
def test_many_live_blocks(bench, backend):
    truth, report, _ = bench.trace("many_blocks", 200000, options=("--backend", backend), seconds=40)
    check_sites(truth, report)


def test_short_lived_threads(bench):
    truth, report, _ = bench.trace("thread_churn", 200)
    check_sites(truth, report)


def test_the_fixed_example_has_no_leak(bench):
    program = bench.program([bench.programs["app_fixed"]])
    run = bench.attach(program.pid)
    while len(program.out().splitlines()) < 4:
        assert program.is_running()
        bench.pause(0.1)
    run.interrupt()
    bytes_, count = run.final().site("fibonacci")
    assert count <= 1 and bytes_ <= 8192, "one block may be between calloc and free"


@pytest.mark.parametrize("options, smallest, largest", [
    (("-z", "500"), 500, None),
    (("-Z", "400"), 0, 400),
    (("-z", "300", "-Z", "700"), 300, 700),
])
def test_size_filters(bench, options, smallest, largest):
    truth, report, _ = bench.trace("allocators", options=options)
    for function, site in truth.items():
        size = site["bytes"] // site["count"] if site["count"] else 0
        passes = size >= smallest and (largest is None or size <= largest)
        assert report.site(function)[1] == (site["count"] if passes else 0), function


def test_stacks_beyond_the_table_stay_in_the_books(bench):
    truth, report, _ = bench.trace("many_stacks", options=("--stack-storage-size", "1000"))
    lost = [site for site in report.sites if not site["frames"]]
    assert len(lost) == 1, "blocks without a stack belong to one site"
    assert lost[0]["allocs"] == lost[0]["count"]
    totals, leaked = report["totals"], truth["descend"]
    assert report["caveats"]["stack_table_full"] == lost[0]["count"]
    # The C library's own blocks (of standard output) may be there too.
    assert 0 <= totals["outstanding_count"] - leaked["count"] <= 2
    assert 0 <= totals["allocs"] - leaked["count"] <= 2
    assert sum(site["count"] for site in report.sites) == totals["outstanding_count"]


def test_stripped_static_program_is_named_as_such(bench, tmp_path):
    program = str(tmp_path / "stripped")
    subprocess.run(["strip", "-o", program, bench.programs["allocators-static"]], check=True)
    status, _, errors = bench.run("--", program)
    assert status == 3
    assert "static program without symbols" in errors


def test_age_filter(bench):
    target = bench.target("big")
    run = bench.memleak("--json", "-o", "60000", "-p", target.pid, "0.3")
    run.wait_attached()
    target.work()
    run.interrupt()
    assert run.final().site("leak_big") == (0, 0), "blocks younger than a minute were shown"


def test_allocation_list(bench):
    truth, report, _ = bench.trace("allocators", options=("-a",))
    for function in ("leak_malloc", "leak_calloc"):
        blocks = [block for site in report.sites_of(function) for block in site["allocations"]]
        assert len(blocks) == truth[function]["count"]
        assert sum(block["size"] for block in blocks) == truth[function]["bytes"]
        assert len({block["addr"] for block in blocks}) == len(blocks)


def test_blocks_from_before_are_untracked_frees(bench):
    target = bench.target("ticker")
    run = bench.attach(target.pid)
    # The tables are read one after the other: while nothing changes them.
    target.signal(signal.SIGSTOP)
    os.waitpid(target.pid, os.WUNTRACED)
    run.interrupt()
    totals = run.final()["totals"]
    # At most the one block that was alive at the moment of attaching; a moment is longer where the
    # kernel attaches one probe after the other, and machines are slow.
    assert totals["untracked_frees"] <= helpers.SLOWNESS
    assert totals["allocs"] - totals["frees"] == totals["outstanding_count"]


def test_every_nth(bench):
    truth, report, _ = bench.trace("many_blocks", 20000, options=("-s", "10"))
    count = report.site("keep_one_of_many")[1]
    assert report["sampling"] == {"mode": "nth", "n": 10}
    assert 0.5 < count / truth["keep_one_of_many"]["count"] * 10 < 2 or \
        0.5 < count / truth["keep_one_of_many"]["count"] < 2, count
