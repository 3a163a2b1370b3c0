# SPDX-License-Identifier: BSD-2-Clause
"""--fail-on-leak with the agent: the command is ptraced to its end and lent to the agent meanwhile."""
import os
import signal
import subprocess

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


@pytest.mark.parametrize("words", [["env", "X=1"], ["sh", "-c", "exec \"$0\" \"$@\""]])
def test_command_that_execs(bench, programs, words):
    """What counts is the program that the command becomes."""
    status, said, out = gate(bench, *words, programs["lost"], "x", options=["-T", "50"])
    assert (status, said["verdict"], said["leaked_blocks"]) == (1, "leak", "28"), out


def test_command_that_becomes_what_cannot_start(bench):
    """Its loader ends it, while memleak leads it through its start: how it ended is told."""
    library, program = (os.path.join(bench.directory, name) for name in ("libgone.so", "program"))
    for words in (["-shared", "-o", library], ["-o", program, "-Wl,--no-as-needed", library]):
        subprocess.run(["gcc", "-xc", "/dev/stdin", "-xnone", *words], check=True,
                       input="int main(void) { return 0; }", text=True)
    os.unlink(library)
    status, _, out = gate(bench, "env", "X=1", program)
    assert status == 0 and "the target ended (exit status 127)" in out


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
