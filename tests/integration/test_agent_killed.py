# SPDX-License-Identifier: BSD-2-Clause
"""The tool killed, with all that works for it, just before each of the calls by which it works on
another process: the target goes on as if nothing were, and the next memleak cleans up."""
import random

import pytest

import helpers
from test_agent import busy, check_busy, code, state

KILLS = 12


def run_killed(bench, pid, at, *options):
    """Killed before the @at-th of its calls; how many there are, when it comes to its end."""
    only, options = (["-o"], options[1:]) if options[:1] == ("-o",) else ([], options)
    run = bench.program([bench.programs["killed"], *only, at, helpers.MEMLEAK, "--json",
                         "--backend", "agent", *options, "-o", "0", "-p", pid, "0.05", "1"])
    return int(run.out().split()[-1]) if run.wait(60) else None


def blank(pid, spans):
    """Mappings made just when the tool was killed, which nobody can know: nothing is in them."""
    with open("/proc/%d/mem" % pid, "rb") as memory:
        for span in spans:
            start, end = (int(word, 16) for word in span.split("-"))
            memory.seek(start)
            if any(memory.read(end - start)):
                return False
    return True


@pytest.mark.limit(180)
@pytest.mark.parametrize("options", [(), ("-o",), ("-f",)])
def test_killed_before_each_call(bench, options):
    """-o: only the one process that is about to make the call."""
    target = busy(bench)
    before = state(target.pid)
    count = run_killed(bench, target.pid, 0, *options)
    assert count > 100
    first = random.randrange(1, count // KILLS)
    for at in range(first, count, count // KILLS):
        run_killed(bench, target.pid, at, *options)
        assert target.is_running(), (at, target.process.returncode)
    for _ in range(2):  # a -f finds children that come while it cleans up
        run = bench.memleak("--json", "--backend", "agent", "-p", target.pid, "5")
        run.wait_attached()
        run.interrupt()
    after = state(target.pid)
    assert after[0] == before[0] == code(target.pid)
    assert after[2:] == before[2:]
    assert blank(target.pid, set(after[1]) - set(before[1]))
    check_busy(target)
