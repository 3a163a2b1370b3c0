# SPDX-License-Identifier: BSD-2-Clause
"""Verdicts of real programs: a short part of bench/verdict, which has the whole."""
import json
import subprocess

import pytest

import helpers

LEAKS = ["leak_steady", "leak_behind_wrapper", "leak_string", "leak_map_only_grows"]
BOUNDED = ["steady_behind_wrapper", "steady_arena_fragments", "queue_bounded", "startup_table", "steady_requests",
           "steady_sessions"]
INTERVAL_S, REPORTS = 0.4, 20


def watch(bench, *options):
    """The reports of memleak on all these programs at once."""
    target = bench.program([bench.programs["verdicts"], *LEAKS, *BOUNDED], stdin=subprocess.PIPE)
    run = bench.memleak("--json", "-o", "0", *options, "-p", target.pid, INTERVAL_S, REPORTS)
    run.wait_attached()
    target.process.stdin.write(b"\n")
    target.process.stdin.flush()
    assert run.wait(60) == 0, run.err()
    return [json.loads(line) for line in run.out().splitlines()]


def sites_of(report, name):
    return [site for site in report["sites"]
            if any(frame["symbol"] and "::%s(" % name in frame["symbol"] for frame in site["frames"])]


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_leaks_and_others(bench, backend):
    report = watch(bench, "--backend", backend)[-1]
    said = {name: [(site["verdict"], site["why"]) for site in sites_of(report, name)]
            for name in LEAKS + BOUNDED}
    for name in LEAKS:
        assert "leak" in [verdict for verdict, _ in said[name]], (name, said[name])
    for name in BOUNDED:
        assert "leak" not in [verdict for verdict, _ in said[name]], (name, said[name])

    site = next(site for site in sites_of(report, "leak_behind_wrapper") if site["verdict"] == "leak")
    assert "xmalloc" in site["frames"][0]["symbol"]
    assert "leak_behind_wrapper" in site["owner"]["symbol"]
    assert site["owner"]["file"].endswith("programs.cc") and site["owner"]["line"] > 0
    assert site["frames"][site["owner"]["index"]]["symbol"] == site["owner"]["symbol"]
    assert "every one of the" in site["why"] and "B/s" in site["why"]
    site = next(site for site in sites_of(report, "leak_string") if site["verdict"] == "leak")
    assert "leak_string" in site["owner"]["symbol"]

    summary = report["summary"]
    assert summary["sites"]["leak"] >= len(LEAKS)
    assert summary["leak_bytes_per_s"] > 1000
    assert "sites leak" in summary["text"]
    assert summary["limit"]["limit_bytes"] > 0


def test_wrapper_of_the_user(bench):
    target = bench.program([bench.programs["verdicts"], "leak_steady"], stdin=subprocess.PIPE)
    run = bench.memleak("--wrapper", "*leak_steady*", "-o", "0", "-p", target.pid, "0.3", "10")
    run.wait_attached()
    target.process.stdin.write(b"\n")
    target.process.stdin.flush()
    assert run.wait(30) == 0, run.err()
    last = run.out().rpartition("Top 10 stacks")[2]
    remark = next(line for line in last.splitlines() if "look at" in line)
    assert "leak_steady" not in remark, remark
    assert "# 1 site leaks" in last


def test_threads_that_nobody_joins(bench):
    """What is booked of them is small; that their stacks stay is said."""
    target = bench.target("unjoined")
    run = bench.attach(target.pid, interval="0.5")
    target.tell()

    def has_said():
        return any("is not joined, and its stack stays" in site["why"]
                   for report in run.reports() for site in report.sites_of("start_unjoined"))
    helpers.wait_for(has_said, 30, "the verdict tells of the stacks")
    run.interrupt()


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_list_made_longer_all_the_time(bench, backend):
    """Its block is younger than --older, always; that it grows is shown all the same."""
    target = bench.target("lengthened")
    run = bench.memleak("--json", "--backend", backend, "-p", target.pid, "0.5")
    run.wait_attached()
    target.tell()

    def has_said():
        return [site for report in run.reports() for site in report.sites_of("lengthen")]
    site = helpers.wait_for(has_said, 30, "the list is shown")[0]
    assert site["verdict"] == "growing", site
    assert site["count"] == 1 and site["bytes"] > 64
    run.interrupt()
