# SPDX-License-Identifier: BSD-2-Clause
"""Children, through fork and exec."""
import subprocess

import pytest

pytestmark = pytest.mark.parametrize("backend", ["bpf", "agent"])


def test_fork_children(bench, backend):
    truth, report, target = bench.trace("forker", options=("--backend", backend, "-f"))
    assert report.site("leak_in_parent") == (7000, 1)
    assert report.site("leak_in_child") == (6000, 3)
    assert report.site("map_in_child") == (3 * 4096, 3)
    sizes = sorted(site["bytes"] for site in report.sites_of("leak_in_child"))
    assert sizes == [1000, 2000, 3000] or sizes == [6000]
    assert target.finish() == 0


def test_exec_chain(bench, backend):
    _, report, target = bench.trace("forker", "exec", options=("--backend", backend, "-f"))
    assert report.site("leak_after_exec") == (3333, 1)
    assert target.finish() == 0


def test_command_behind_a_shell(bench, backend):
    """sh -c starts the real program as a child: it is followed."""
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-f", "0.3", "--", "sh", "-c",
                        "%s; true" % bench.programs["allocators"], stdin=subprocess.PIPE)
    run.let_command_work()
    assert run.wait() in (0, 4), run.err()
    assert run.final().site("leak_malloc") == (2323, 23)


@pytest.mark.parametrize("words", [["env", "X=1"], ["sh", "-c", "exec $0"]])
def test_command_that_execs(bench, backend, words):
    """Without -f: the program that the command becomes is there whole, its children are not."""
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "0.3", "--", *words,
                        bench.programs["allocators"])
    assert run.wait(60) in (0, 4), run.err()
    assert run.final().site("leak_malloc") == (2323, 23)
    if backend == "agent":
        assert run.err().count("runs another program now: %s" % bench.programs["allocators"]) == 1


def test_programs_started_by_fork_and_exec(bench, backend):
    """bash forks before it runs a program: each is there whole, from its first allocation."""
    program = bench.programs["allocators"]
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-f", "1", "--", "bash", "-c",
                        "for i in 1 2 3 4 5 6 7 8; do %s; done; true" % program)
    assert run.wait(60) in (0, 4), run.err()
    assert run.final().site("leak_malloc") == (8 * 2323, 8 * 23)
    assert "not traced" not in run.err()


def test_every_subshell(bench, backend):
    """None of a shell's children is left out that run no other program: each has its own books."""
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-f", "60", "--", "bash", "-c",
                        "for i in $(seq 30); do (x=$(echo $i); echo $x); done; true")
    assert run.wait(60) in (0, 4), run.err()
    pids = {site["pid"] for site in run.final().sites_of("xmalloc")}
    assert len(pids) == 1 + 30 * 2, run.err()
    assert "runs another program now" not in run.err()


def test_children_survive_the_end_of_the_tool(bench, backend):
    target = bench.target("forker")
    run = bench.attach(target.pid, "--backend", backend, "-f")
    target.work()
    run.kill()
    bench.pause(0.3)
    assert target.is_running()
    assert target.finish() == 0


@pytest.mark.parametrize("number_of_children", [23])
def test_many_short_children(bench, backend, number_of_children):
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-f", "0.3", "--", "sh", "-c",
                        "i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done; sleep 1"
                        % number_of_children)
    assert run.wait(30) == 0, run.err()
    run.final().check_totals()
