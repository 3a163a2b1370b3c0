# SPDX-License-Identifier: BSD-2-Clause
"""memleak --fail-on-leak -- CMD: what threads that have ended lost."""
import pytest

THREADS = 23
BLOCKS = THREADS * 6
BYTES = THREADS * (3 * 88 + 40 + 50 + 24)


@pytest.mark.parametrize("backend", ["bpf", "agent"])
@pytest.mark.parametrize("name", ["lost_threads", "lost_threads-static", "lost_threads-musl"])
def test_threads_that_ended(bench, programs, name, backend):
    """Old pointers on the stacks and in the heaps that glibc keeps of them reach nothing."""
    status, words, out = bench.gate(programs[name], options=["--backend", backend, "-T", "50"])
    assert (status, words["leaked_blocks"], words["leaked_bytes"]) == (1, str(BLOCKS), str(BYTES)), out


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_main_thread_ends_first(bench, programs, backend):
    """A program whose main() leaves by pthread_exit() is not searched, which is said."""
    status, out, err = bench.run("--fail-on-leak", "--backend", backend, "--",
                                 programs["lost_threads"], "x")
    assert status == 0 and "is not searched at its end" in err, err
    assert "exit status 3" in out
