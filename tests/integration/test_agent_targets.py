# SPDX-License-Identifier: BSD-2-Clause
"""Odd targets: they live on and the figures are right, or memleak says why it cannot be."""
import json

import pytest

import helpers

AGENT = ("--backend", "agent")
LEAK = (2323, 23)


def maps(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as text:
        return text.read()


def trace(bench, *states, options=AGENT, target=None):
    """The target in those states, traced to its end: (the report, memleak's messages)."""
    target = target or bench.target("odd", *states)
    run = bench.attach(target.pid, *options)
    assert target.work()["leak_here"]["count"] == LEAK[1]
    run.interrupt()
    assert "memleak-" not in maps(target.pid)
    assert target.finish() == 0
    return run.final(), run.err()


def refuse(bench, *states, options=AGENT):
    """The target in those states is refused and goes on: memleak's message."""
    target = bench.target("odd", *states)
    status, _, err = bench.run(*options, "-p", target.pid, "1", "1")
    assert status == 3, err
    assert "memleak-" not in maps(target.pid)
    assert target.work()["leak_here"]["count"] == LEAK[1]
    assert target.finish() == 0
    return err


# What a process may be or become, where nothing is in the agent's way. bpf is given the same.
STATES = [
    "deny-write-execute", "hide", "+hide", "become-nobody", "+become-nobody", "+drop-capabilities",
    "limit-memory=8000", "+limit-memory=10", "limit-locked=0", "limit-files=65536", "+close-all",
    "no-descriptors=20", "lock-all", "map-many=30000", "+map-many=30000", "+protect-around",
    "forbid=310", "+forbid=11", "forbid-in-thread=310",
]


@pytest.mark.parametrize("state", STATES)
def test_in_any_state(bench, state):
    report, err = trace(bench, state)
    assert report["backend"] == "agent"
    assert report.site("leak_here") == LEAK, (report.sites, err)


@pytest.mark.parametrize("state", ["deny-write-execute", "+become-nobody", "limit-memory=50",
                                   "forbid=186", "strict-thread"])
@pytest.mark.parametrize("backend", ["bpf", "auto"])
def test_the_other_backend(bench, backend, state):
    report, _ = trace(bench, state, options=("--backend", backend))
    assert report.site("leak_here") == LEAK


# Memory that is not to be had: what is said.
@pytest.mark.parametrize("state, words", [
    ("limit-memory=50", ["RLIMIT_AS", "prlimit --pid", "--backend bpf"]),
    ("limit-memory=3000", ["RLIMIT_AS", "prlimit --pid", "--backend bpf"]),
])
def test_refused(bench, state, words):
    err = refuse(bench, state)
    assert all(word in err for word in words), err


@pytest.mark.parametrize("what, is_traced", [("anonymous", True), ("file", False)])
def test_no_execmem(bench, what, is_traced):
    """SELinux without execmem: code is a file's. Nothing is ever writable and executable."""
    run = bench.program([bench.programs["execmem"], what, helpers.MEMLEAK, "--json", "-o", "0",
                         *AGENT, "5", "--", bench.programs["allocators"]])
    status = run.wait()
    if is_traced:
        assert status == 0, run.err()
        report = helpers.Report(json.loads(run.out().splitlines()[-1]))
        assert report.site("leak_malloc") == LEAK
    else:
        assert status == 3 and "execmem" in run.err() and "--backend bpf" in run.err(), run.err()


def test_go_stack(bench):
    """As cgo does it: on to the stack that was left, and the same as the other backend."""
    stacks = []
    for backend in ("bpf", "agent"):
        truth, report, _ = bench.trace("go_stack", options=("--backend", backend))
        for function, site in truth.items():
            assert report.site(function) == (site["bytes"], site["count"]), (backend, function)
        stacks.append(sorted((site["count"], site["stack_end"],
                              [frame["symbol"] for frame in site["frames"]])
                             for site in report.sites_of("leak_in_c")))
    assert stacks[0] == stacks[1]
