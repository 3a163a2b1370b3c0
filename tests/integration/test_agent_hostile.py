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


def test_file_in_the_place_of_the_memory(bench, tmp_path):
    """What another thread puts there is not the agent's to write."""
    path = tmp_path / "precious"
    path.write_text("precious\n" * 100, encoding="ascii")
    before = path.read_bytes()
    target = bench.target("swapper", path)
    target.wait_event("ready")
    refused = 0
    for _ in range(3):
        status, _, err = bench.run("--backend", "agent", "-p", target.pid, 1, 1)
        assert path.stat().st_size == len(before) and path.read_bytes() == before
        assert status in (0, 3), err
        refused += "another file in the place of the agent's memory" in err
    assert target.is_running()
    print("it was there in time %d times" % refused)
