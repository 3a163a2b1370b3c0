# SPDX-License-Identifier: BSD-2-Clause
"""The agent's memory is the target's, which can write anything there: the tool says what it reads,
true or not, and ends in its time. (What it is told to put back it does put back there: the target
may die of that.)"""
import pytest

# Something to be patched while the numbers of patches and stubs change.
LIBRARY = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"


@pytest.mark.parametrize("options", [("-v",), ("--json", "-o", "0"), ("--trace",)])
def test_written_over(bench, options):
    target = bench.target("scribbler", 7, LIBRARY)
    status, out, err = bench.run("--backend", "agent", *options, "-p", target.pid, 1, 1, seconds=60)
    assert status == 0, err
    assert out
    target.wait_event("scribbling", 1)
    assert "shortened" not in target.out()
    target.kill()
