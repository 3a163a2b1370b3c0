# SPDX-License-Identifier: BSD-2-Clause
"""Trees of processes: what tracing them costs, and what is told of those that came late."""
import os
import re
import subprocess

import pytest

import helpers


def links(run):
    """The ids of the kernel's links that memleak holds."""
    ids = set()
    folder = "/proc/%d/fdinfo" % run.pid
    for name in os.listdir(folder):
        try:
            with open(os.path.join(folder, name), encoding="ascii") as info:
                ids.update(re.findall(r"^link_id:\s+(\d+)$", info.read(), re.MULTILINE))
        except OSError:
            continue
    return ids


def test_probes_outlive_an_exec(bench):
    """The kernel takes a tenth of a second to take probes out, and the program waits for it."""
    target = bench.program(["bash", "-c", "echo first; read x; exec bash -c 'echo second; read x'"],
                           stdin=subprocess.PIPE)
    helpers.wait_for(lambda: "first" in target.out(), helpers.START_S, "the target runs")
    run = bench.attach(target.pid, "--backend", "bpf", "-f")
    before = links(run)
    assert before
    os.write(target.process.stdin.fileno(), b"\n")
    helpers.wait_for(lambda: "second" in target.out(), helpers.START_S, "the next program runs")
    assert before <= links(run)
    os.write(target.process.stdin.fileno(), b"\n")
    assert target.wait() == 0
    assert run.wait() == 0, run.err()
    assert run.final().sites_of("xmalloc")


def blocks_of_size(report, size):
    """How many blocks of sites that have blocks of this size only."""
    return sum(site["count"] for site in report.sites if site["bytes"] == size * site["count"])


def unseen(report):
    return report["caveats"].get("processes_unseen", 0)


def check_tree(report, target, moves):
    """Every block of every process is there, once. By sizes: until the kernel has taken the last of
    its probes out, stacks may be cut at the return address that it hides, which is counted."""
    for name, site in target.sites().items():
        count = blocks_of_size(report, site["bytes"] // site["count"])
        # While their parent is let go, for the agent to get in, children are only counted.
        missed = unseen(report) if name == "leak_early" else 0
        assert count + missed == site["count"], name
        if not moves:
            assert not unseen(report)
            assert report.site(name) == (site["bytes"], site["count"])
    assert not {name for name in report["caveats"] if name.startswith("functions_")}
    report.check_totals()


@pytest.mark.parametrize("backend", ["bpf", "agent", "auto"])
def test_busy_tree(bench, backend):
    """Workers under load and children all the time; with "auto" the tree moves to the agent under
    way, also what was forked before its parent moved."""
    target = bench.target("tree", "3")
    run = bench.attach(target.pid, "-f", "--backend", backend)
    target.tell()
    target.wait_event("working")
    if backend == "auto":
        helpers.wait_for(lambda: "tracing from inside" in run.err(), 30, "the tree moves")
        assert "stay" not in run.err()
    bench.pause(0.5)
    target.tell()
    bench.pause(0.5)
    target.work()
    run.interrupt()
    check_tree(run.final(), target, backend == "auto")
    assert target.values()["longest_ms"] < 10000 * helpers.SLOWNESS, "a fork stood still"
    assert target.finish() == 0


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_programs_that_cannot_be_traced_are_counted(bench, backend, tmp_path):
    """A static program without symbols, twice, beside those that are traced."""
    stripped = tmp_path / "stripped"
    subprocess.run(["gcc", "-static", "-s", "-x", "c", "-", "-o", stripped], check=True, timeout=60,
                   input=b"#include <stdlib.h>\nint main(void) { return !malloc(23); }")
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-f", "60", "--", "bash", "-c",
                        "%s; %s; /bin/true; true" % (stripped, stripped))
    assert run.wait() == 0, run.err()
    assert unseen(run.final()) == 2
    assert run.final().sites_of("xmalloc")
