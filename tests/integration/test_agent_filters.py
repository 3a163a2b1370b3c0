# SPDX-License-Identifier: BSD-2-Clause
"""Targets under filters of system calls: none is killed for the agent, and the figures are right."""
import json
import os
import shutil
import tempfile

import pytest

import helpers

AGENT = ("--backend", "agent")
LEAK = (2323, 23)
KINDS = ["service", "arguments", "bare"]


def maps(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as text:
        return text.read()


def trace(bench, target, *options):
    """The target traced to its end: (the report, its own truth)."""
    run = bench.attach(target.pid, *options)
    truth = target.work()
    run.interrupt()
    assert "memleak-" not in maps(target.pid)
    assert target.finish() == 0
    return run.final(), truth


def check(report, truth):
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["agent", "bpf"])
def test_sandbox(bench, kind, backend):
    target = bench.target("sandbox", kind, bench.programs["allocators"])
    report, truth = trace(bench, target, "--backend", backend)
    assert report["backend"] == backend
    check(report, truth)


@pytest.mark.parametrize("kind", ["service", "arguments"])
def test_threads(bench, kind):
    """New threads come, and take the places of those that ended."""
    target = bench.target("sandbox", kind, bench.programs["thread_churn"])
    check(*trace(bench, target, *AGENT))


def test_deep_stack_without_calls(bench):
    """Where not one system call is left to ask what can be read."""
    target = bench.target("sandbox", "bare", bench.programs["deep"])
    check(*trace(bench, target, *AGENT))


@pytest.mark.parametrize("kind", KINDS)
def test_sandboxed_command(bench, kind):
    """Filters come after the agent, and are kept over an exec where ptrace holds the process."""
    run = bench.program([helpers.MEMLEAK, "--json", "-o", "0", "-f", *AGENT, "5",
                         "--",
                         bench.programs["sandbox"], kind, bench.programs["allocators"]])
    assert run.wait() == 0, run.err()
    report = helpers.Report(json.loads(run.out().splitlines()[-1]))
    assert report["backend"] == "agent"
    assert report.site("leak_malloc") == LEAK


@pytest.mark.parametrize("options", [(), ("-f",)])
def test_filters_itself_at_once(bench, options):
    """Before anybody can look at its filter the agent makes none of the calls it kills for."""
    run = bench.program([helpers.MEMLEAK, "--json", "-o", "0", *options, *AGENT, "5", "--",
                         bench.programs["self_filtered"]])
    assert run.wait() == 0, run.err()
    report = helpers.Report(json.loads(run.out().splitlines()[-1]))
    assert '"site":"leak_at"' in run.out(), report["end_reason"]
    assert report.site("leak_at") == (5050, 50)
    assert all(site["frames"][-1]["symbol"] == "_start" for site in report.sites_of("leak_at"))


def test_sleeps_with_a_filter(bench):
    """A stop must not have it go on with its sleep by a call that it kills itself for."""
    target = bench.target("sleeper")
    for _ in range(2):
        run = bench.attach(target.pid, "--backend", "agent")
        run.interrupt()
        run.final()
    target.work()
    assert target.finish() == 0


def test_busy_service_moves_to_the_agent(bench):
    target = bench.target("sandbox", "service", bench.programs["hot"])
    run = bench.attach(target.pid)
    helpers.wait_for(lambda: "tracing from inside" in run.err(), 30, "it moves")
    truth = target.work(30)
    run.interrupt()
    assert run.final()["backend"] == "agent"
    check(run.final(), truth)
    assert target.finish() == 0


# rt_sigprocmask, gettid, futex, nanosleep, clock_gettime; strict mode.
@pytest.mark.parametrize("state", [
    "forbid=14", "forbid=186", "forbid=202", "forbid=35", "forbid=228",
    "forbid-in-thread=14", "forbid-in-thread=186", "strict-thread",
    "+forbid=14", "+forbid=186", "+forbid-in-thread=14", "+strict", "+strict-thread",
])
def test_forbidden_call(bench, state):
    report, _ = trace(bench, bench.target("odd", state), *AGENT)
    assert report.site("leak_here") == LEAK


def test_not_root(bench):
    """Only root may look into a filter, and what may kill is not tried."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        memleak, sandbox, allocators = (
            shutil.copy(path, folder) for path in
            (helpers.MEMLEAK, bench.programs["sandbox"], bench.programs["allocators"]))
        bench.programs.extra["as-user"] = shutil.which("setpriv")
        target = bench.target("as-user", *user[1:], sandbox, "service", allocators)
        run = bench.program([*user, memleak, *AGENT, "-p", target.pid, "1", "1"])
        assert run.wait() == 3
        assert "seccomp filter" in run.err() and "only root" in run.err()
        target.work()
        assert target.finish() == 0
