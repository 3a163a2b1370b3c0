# SPDX-License-Identifier: BSD-2-Clause
"""operator new and delete of all allocators there are, from inside, from a program's start on."""
import subprocess

import pytest

import helpers

AGENT = ("--backend", "agent")
PRELOADED = ["libmimalloc.so.2", "libjemalloc.so.2", "libtcmalloc_minimal.so.4",
             "libtcmalloc.so.4", "libtcmalloc_debug.so.4", "libtbbmalloc_proxy.so.2"]


def begin(bench, backend, *words):
    """Runs a command to its end: (what it said of itself, the final report, what memleak said, what
    the totals grew by since the command was ready, all of it being traced)."""
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "0.3", "--", *words,
                        stdin=subprocess.PIPE)
    before = run.let_command_work()["totals"]
    assert run.wait(40) == 0, run.err()
    report = run.final()
    assert report["backend"] == backend
    print(run.err(), report["totals"], report["caveats"])
    report.check_totals()
    grown = {name: report["totals"][name] - before[name] for name in before}
    return [line for line in run.lines() if "schema" not in line], report, run.err(), grown


def check_sites(said, report):
    for line in said:
        if "site" in line:
            assert report.site(line["site"]) == (line["bytes"], line["count"]), line["site"]


def check(bench, *words):
    said, report, err, grown = begin(bench, "agent", *words)
    assert {"value": "nulls", "is": 87}.items() <= said[-2].items()
    assert "traced" not in err
    check_sites(said, report)
    _, _, _, others = begin(bench, "bpf", *words)
    # One free may lead on to another, which is not always known for the same block's.
    assert grown.pop("untracked_frees") < 10
    assert others.pop("untracked_frees") == 0
    assert grown == others
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
    said, report, _, _ = begin(bench, backend, "env", "LD_PRELOAD=" + library,
                               bench.programs["throwing"])
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
