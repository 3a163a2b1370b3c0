# SPDX-License-Identifier: BSD-2-Clause
"""Standard descriptors that are closed, a pipe that nobody reads, and too few descriptors."""
import json
import os
import signal

import pytest

import helpers


def run_shell(bench, redirections, *arguments):
    """memleak with @redirections of a shell; its status."""
    command = '"$@" ' + redirections
    run = bench.program(["bash", "-c", command, "bash", helpers.MEMLEAK, *arguments])
    return run.wait(), run


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_closed_output_is_an_error(bench, backend):
    target = bench.target("ticker")
    status, run = run_shell(bench, "<&- >&-", "--backend", backend, "-p", target.pid, 1, 1)
    assert status == 3
    assert "standard output: Bad file descriptor" in run.err()


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_nothing_else_is_written_into_a_report(bench, backend, tmp_path):
    """All closed: the report's file must not become the standard error."""
    target = bench.target("ticker")
    path = str(tmp_path / "report.json")
    status, _ = run_shell(bench, "<&- >&- 2>&-", "--backend", backend, "-v", "--json", "-w", path,
                          "-p", target.pid, 1, 1)
    assert status == 0
    with open(path, encoding="utf-8") as report:
        for line in report:
            json.loads(line)


def test_a_command_gets_no_more_than_memleak(bench):
    status, run = run_shell(bench, "<&-", "--fail-on-leak", "--", "ls", "-l", "/proc/self/fd")
    assert status == 0
    assert " 0 -> /proc/" in run.out() or " 0 -> " not in run.out()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_waiting_for_a_reader_can_be_ended(bench, tmp_path, number):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    target = bench.target("ticker")
    run = bench.memleak("-w", path, "-p", target.pid, 1, 1)
    wchan = "/proc/%d/wchan" % run.process.pid
    helpers.wait_for(lambda: "wait_for_partner" in open(wchan, encoding="ascii").read(),
                     helpers.START_S, "it waits for a reader")
    run.signal(number)
    assert run.wait() == -number


def test_too_few_descriptors(bench):
    target = bench.target("ticker")
    for limit in (12, 24):
        run = bench.program(["bash", "-c", 'ulimit -n %d; exec "$@"' % limit, "bash",
                             helpers.MEMLEAK, "-p", target.pid, 1, 1])
        assert run.wait() == 3
        assert "Too many open files" in run.err()
