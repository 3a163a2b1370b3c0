# SPDX-License-Identifier: BSD-2-Clause
"""--fail-on-leak with the agent: the command is ptraced to its end and lent to the agent meanwhile."""
import os
import signal

import pytest

import helpers


def gate(bench, *words, options=()):
    return bench.gate(*words, options=("--backend", "agent", *options))


def test_all_reachable(bench, programs):
    """The agent's own memory, full of addresses, makes nothing reachable that is lost."""
    status, words, out = gate(bench, programs["lost"])
    assert (status, words["verdict"], words["leaked_blocks"]) == (0, "ok", "0"), out


def test_lost(bench, programs):
    status, words, out = gate(bench, programs["lost"], "x", options=["-T", "50"])
    assert (status, words["verdict"]) == (1, "leak"), out
    assert (words["leaked_blocks"], words["leaked_bytes"]) == ("28", str(23 * 100 + 5 * 48))


def test_library_loaded_later(bench, programs):
    status, words, out = gate(bench, programs["dlopen_leak"], programs["libleaky.so"])
    assert (status, words["leaked_blocks"]) == (1, "23"), out


@pytest.mark.parametrize("lacking", ["bpf,perf_event_open", "later"])
def test_without_ebpf(bench, programs, lacking):
    run = bench.program([programs["without"], lacking, helpers.MEMLEAK, "--fail-on-leak", "--",
                         programs["lost"], "x"])
    assert run.wait() == 1, run.err()
    assert "leaked_blocks=28 " in run.err() and "eBPF does not work here" in run.err()


def test_signals_and_stops(bench):
    status, words, out = gate(bench, "bash", "-c",
                              "trap 'echo caught' USR1; kill -USR1 $$; "
                              "(sleep 0.2; kill -CONT $$) & kill -STOP $$; echo went on; exit 7")
    assert status == 0 and words["verdict"] == "ok"
    assert "caught\n" in out and "went on\n" in out and "exit status 7" in out


def test_interrupted(bench, programs):
    """The command ends with memleak; a command that was lent is taken back and let go."""
    fifo = os.path.join(bench.directory, "never")
    os.mkfifo(fifo)
    run = bench.memleak("--backend", "agent", "--fail-on-leak", "-o", "0", "5", "--", "sh", "-c",
                        'exec "$0" <"$1"', programs["ticker"], fifo)
    with open(fifo, "w", encoding="ascii"):
        helpers.wait_for(lambda: '"ready"' in run.out(), helpers.START_S, "the command runs")
        run.signal(signal.SIGINT)
        assert run.wait() in (0, 1), run.err()
    assert "final report" in run.out()
