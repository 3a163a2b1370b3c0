# SPDX-License-Identifier: BSD-2-Clause
"""memleak --fail-on-leak -- CMD: programs with other allocators than the C library's."""
import pytest

ALLOCATORS = pytest.mark.parametrize("name", ["lost-tcmalloc_minimal", "lost-mimalloc"])


@ALLOCATORS
def test_allocators_own_blocks(bench, programs, name):
    """tcmalloc loses a block of its own whenever it is loaded, which is no leak of the program."""
    status, words, out = bench.gate(programs[name], options=["-T", "50"])
    assert (status, words["verdict"], words["leaked_blocks"]) == (0, "ok", "0"), out


@ALLOCATORS
def test_lost(bench, programs, name):
    status, words, out = bench.gate(programs[name], "x", options=["-T", "50"])
    assert (status, words["leaked_blocks"], words["leaked_bytes"]) == (
        1, "28", str(23 * 100 + 5 * 48)), out


def test_heap_of_a_run_time(bench, programs):
    """What Go maps for its heap is its own: no pointers lead there."""
    status, words, out = bench.gate(programs["own_heap"])
    assert (status, words["leaked_blocks"]) == (0, "0"), out
    assert int(words["outstanding_bytes"]) >= 1 << 20, out


def test_says_what_jemalloc_hides(bench, programs):
    status, _, err = bench.run("--fail-on-leak", "--", programs["lost-jemalloc"])
    assert status == 0 and "jemalloc's caches" in err
    status, _, err = bench.run("--fail-on-leak", "--", programs["lost"])
    assert status == 0 and "jemalloc" not in err
