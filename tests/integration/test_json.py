# SPDX-License-Identifier: BSD-2-Clause
"""The JSON report: its members, their types, and that the numbers agree with each other."""
import re

import pytest

import helpers

NUMBER = (int, float)
OPTIONAL_STRING = (str, type(None))
OPTIONAL_NUMBER = (int, float, type(None))

REPORT = {"schema": str, "kind": str, "time": str, "final": bool, "caveats": dict,
          "target": dict, "backend": str, "sampling": dict, "elapsed_s": NUMBER, "totals": dict,
          "cost": dict, "sites": list}
TOTALS = {"outstanding_bytes": int, "outstanding_count": int, "allocs": int, "frees": int,
          "untracked_frees": int}
COST = {"target_cpu_fraction": OPTIONAL_NUMBER, "tool_cpu_s": OPTIONAL_NUMBER,
        "events_per_s": OPTIONAL_NUMBER}
SITE = {"id": (int, str), "bytes": int, "count": int, "allocs": int, "frees": int,
        "oldest_ms": OPTIONAL_NUMBER, "newest_ms": OPTIONAL_NUMBER,
        "growth_bytes_per_s": OPTIONAL_NUMBER, "verdict": str, "confidence": OPTIONAL_NUMBER,
        "why": OPTIONAL_STRING, "stack_end": str, "frames": list}
FRAME = {"ip": (int, str), "symbol": OPTIONAL_STRING, "offset": OPTIONAL_NUMBER,
         "module": OPTIONAL_STRING, "build_id": OPTIONAL_STRING, "file": OPTIONAL_STRING,
         "line": OPTIONAL_NUMBER, "inlined": bool, "kind": str}
VERDICTS = {"leak", "growing", "cache", "steady", "startup", "unknown"}
ENDS = {"complete", "fault", "no_unwind_info", "depth"}


def check_members(value, members):
    for name, types in members.items():
        assert name in value, name
        assert isinstance(value[name], types), "%s is %r" % (name, value[name])
        if types is int:
            assert not isinstance(value[name], bool)


def check_document(document):
    check_members(document, REPORT)
    assert document["schema"] == "memleak/1" and document["kind"] == "trace"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", document["time"])
    check_members(document["totals"], TOTALS)
    check_members(document["cost"], COST)
    assert document["sampling"]["mode"] in ("all", "nth", "bytes")
    assert all(isinstance(number, int) and number > 0 for number in document["caveats"].values())
    for site in document["sites"]:
        check_members(site, SITE)
        assert site["verdict"] in VERDICTS and site["stack_end"] in ENDS
        assert 0 <= (site["confidence"] or 0) <= 1
        for frame in site["frames"]:
            check_members(frame, FRAME)


def test_schema(bench):
    _, report, target = bench.trace("allocators")
    check_document(report.document)
    assert report["target"]["pid"] == target.pid
    assert report["target"]["comm"] == "allocators"
    assert report["target"]["exe"].endswith("/allocators")
    assert report["backend"] == "bpf"
    assert report["sites"]


def test_sites_are_sorted_and_unique(bench):
    _, report, _ = bench.trace("allocators")
    sizes = [site["bytes"] for site in report.sites]
    assert sizes == sorted(sizes, reverse=True)
    assert len({site["id"] for site in report.sites}) == len(report.sites)


def test_every_report_reconciles(bench):
    target = bench.target("ticker")
    run = bench.attach(target.pid, interval="0.2")
    helpers.wait_for(lambda: len(run.reports()) >= 5, helpers.START_S, "five reports are made")
    target.wait_lines(1)
    run.interrupt()
    reports = run.reports()
    for report in reports:
        check_document(report.document)
        report.check_totals()
    assert [report["final"] for report in reports] == [False] * (len(reports) - 1) + [True]
    elapsed = [report["elapsed_s"] for report in reports]
    assert elapsed == sorted(elapsed)
    ages = [site["oldest_ms"] for site in reports[-1].sites_of("leak_now_and_then")]
    assert ages and 0 < max(ages) < 20000


def test_allocations_member(bench):
    _, report, target = bench.trace("big", options=("-a",))
    blocks = report.sites_of("leak_big")[0]["allocations"]
    assert len(blocks) == 10
    for block in blocks:
        assert block["size"] == 1 << 20 and block["pid"] == target.pid
        assert block["tid"] == target.pid and block["age_ms"] >= 0


@pytest.mark.parametrize("format_", ["text", "json", "folded"])
def test_formats(bench, format_):
    target = bench.target("big")
    run = bench.memleak("--format", format_, "-o", "0", "-p", target.pid, "0.3")
    run.wait_attached()
    target.work()
    run.interrupt()
    assert "leak_big" in run.out()
    if format_ == "folded":
        line = [line for line in run.out().splitlines() if "leak_big" in line][-1]
        stack, _, bytes_ = line.rpartition(" ")
        frames = stack.split(";")
        assert int(bytes_) == 10485760
        assert frames.index("main") < [i for i, f in enumerate(frames) if "leak_big" in f][0], \
            "folded stacks go from the outermost inwards"
