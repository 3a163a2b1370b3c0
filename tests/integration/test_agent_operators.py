# SPDX-License-Identifier: BSD-2-Clause
"""operator new and delete of all allocators there are, from inside, from a program's start on."""
import json

import pytest

import helpers

AGENT = ("--backend", "agent")
PRELOADED = ["libmimalloc.so.2", "libjemalloc.so.2", "libtcmalloc_minimal.so.4",
             "libtcmalloc.so.4", "libtcmalloc_debug.so.4", "libtbbmalloc_proxy.so.2"]


def begin(bench, backend, *words):
    """Runs a command to its end: (what it said of itself, the final report, what memleak said)."""
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "5", "--", *words)
    assert run.wait(40) == 0, run.err()
    lines = [json.loads(line) for line in run.out().splitlines() if line.startswith("{")]
    report = helpers.Report(lines[-1])
    assert report["final"] and report["backend"] == backend
    print(run.err(), report["totals"], report["caveats"])
    report.check_totals()
    return lines[:-1], report, run.err()


def check_sites(said, report):
    for line in said:
        if "site" in line:
            assert report.site(line["site"]) == (line["bytes"], line["count"]), line["site"]


def begin_timely(bench, *words):
    """The same with bpf, by which the loader waits no longer than 250 ms on a busy machine."""
    for _ in range(4):
        said, report, err = begin(bench, "bpf", *words)
        if "stacks_no_unwind_info" not in report["caveats"]:
            break
    return said, report, err


def check(bench, *words):
    said, report, err = begin(bench, "agent", *words)
    assert {"value": "nulls", "is": 87}.items() <= said[-2].items()
    assert "traced" not in err
    check_sites(said, report)
    _, other, _ = begin_timely(bench, *words)
    totals, others = dict(report["totals"]), dict(other["totals"])
    # One free may lead on to another, which is not always known for the same block's.
    assert totals.pop("untracked_frees") < 10
    assert others.pop("untracked_frees") == 0
    assert totals == others
    return report


@pytest.mark.parametrize("library", PRELOADED)
def test_preloaded(bench, library):
    check(bench, "env", "LD_PRELOAD=" + library, bench.programs["operators"])


@pytest.mark.parametrize("build", ["operators", "operators-mimalloc", "operators-jemalloc",
                                   "operators-tcmalloc"])
def test_linked(bench, build):
    report = check(bench, bench.programs[build])
    assert report["totals"]["untracked_frees"] == 0


@pytest.mark.parametrize("library", PRELOADED)
def test_running(bench, library):
    truth, report, target = bench.trace("operators", options=AGENT, env={"LD_PRELOAD": library})
    del truth["leak_before_main"]
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function
    assert target.finish() == 0


@pytest.mark.parametrize("backend", ["agent", "bpf"])
@pytest.mark.parametrize("library", PRELOADED[1:])
def test_exceptions(bench, library, backend):
    """They pass what the agent calls in the stead of operators, and returns that are probed.
    (mimalloc, which is C in Debian, ends the program instead of throwing.)"""
    if backend == "bpf" and not helpers.waits_for_loader():
        pytest.skip("a program that throws waits for memleak with the links of Linux 6.6")
    words = ["env", "LD_PRELOAD=" + library, bench.programs["throwing"]]
    said, report, _ = begin_timely(bench, *words) if backend == "bpf" \
        else begin(bench, backend, *words)
    values = {line["value"]: line["is"] for line in said if "value" in line}
    assert (values["caught"], values["misaligned"]) == (800, 0)
    check_sites(said, report)
    assert not report.sites_of("throw_all")


def test_reloaded(bench):
    """Libraries with operators of their own come and go, more of them than there is room for."""
    truth, report, target = bench.trace("reloaded", bench.programs["libpool.so"], 140,
                                        options=AGENT, seconds=40)
    assert not [line for line in target.lines() if line.get("event") == "not-patched"]
    site = truth["leak_from_pool"]
    assert report.site("leak_from_pool") == (site["bytes"], site["count"])
    assert not {"functions_not_probed", "functions_by_imports"} & set(report["caveats"])
    assert target.finish() == 0
