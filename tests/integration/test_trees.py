# SPDX-License-Identifier: BSD-2-Clause
"""Trees of processes: what tracing them costs, and what is told of those that came late."""
import os
import re
import subprocess

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
