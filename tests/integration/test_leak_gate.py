# SPDX-License-Identifier: BSD-2-Clause
"""memleak --fail-on-leak -- CMD: what nothing points to any more when the command ends."""
import os
import re

import pytest


def test_all_reachable(bench, programs):
    """Globals, thread-local variables, lists, pointers into blocks, stacks of threads."""
    status, words, out = bench.gate(programs["lost"])
    assert (status, words["verdict"], words["leaked_blocks"]) == (0, "ok", "0"), out
    assert int(words["outstanding_blocks"]) >= 11
    assert "exit status 3" in out


def test_lost(bench, programs):
    status, words, out = bench.gate(programs["lost"], "x", options=["-T", "50"])
    assert (status, words["verdict"]) == (1, "leak"), out
    assert (words["leaked_blocks"], words["leaked_bytes"]) == ("28", str(23 * 100 + 5 * 48))
    assert "lose_blocks+0x" in out and "lose_ring+0x" in out
    assert "# 3 sites lost %s blocks" % words["leaked_blocks"] in out
    assert "nothing pointed to" in out


@pytest.mark.parametrize("backend", ["bpf", "agent"])
@pytest.mark.parametrize("name", ["stale", "stale-static", "stale-musl"])
def test_old_pointers(bench, programs, name, backend):
    """What stands on the stack below main()'s caller and in freed memory reaches nothing."""
    status, words, out = bench.gate(programs[name], options=["--backend", backend])
    assert (status, words["leaked_blocks"], words["leaked_bytes"]) == (1, "2", "300"), out


@pytest.mark.parametrize("backend", ["bpf", "agent"])
@pytest.mark.parametrize("name", ["stale", "stale-static", "stale-musl"])
def test_pointers_of_who_calls_exit(bench, programs, name, backend):
    status, words, out = bench.gate(programs[name], "x", options=["--backend", backend])
    assert (status, words["leaked_blocks"]) == (0, "0"), out
    assert int(words["outstanding_blocks"]) >= 3, out


@pytest.mark.parametrize("command", [["ls", "/"], ["bash", "-c", "x=$(echo y); :"],
                                     ["find", "/etc", "-maxdepth", "1"]])
def test_clean_programs(bench, command):
    status, words, out = bench.gate(*command)
    assert (status, words["verdict"]) == (0, "ok"), out


def test_signals_reach_the_command(bench):
    """A command that is watched to its end gets its signals, and stops and goes on."""
    status, words, out = bench.gate("bash", "-c",
                                    "trap 'echo caught' USR1; kill -USR1 $$; "
                                    "(sleep 0.2; kill -CONT $$) & kill -STOP $$; echo went on; exit 7")
    assert status == 0 and words["verdict"] == "ok"
    assert "caught\n" in out and "went on\n" in out and "exit status 7" in out


def test_killed_command(bench):
    status, words, out = bench.gate("sh", "-c", "kill -KILL $$")
    assert status == 0 and words["verdict"] == "ok"
    assert "signal 9" in out


def test_replay_says_the_same(bench, programs):
    path = os.path.join(bench.directory, "run.ml")
    status, words, out = bench.gate(programs["lost"], "x", options=["-w", path])
    assert status == 1
    status, again, err = bench.run("report", path, "--fail-on-leak")
    assert status == 1 and "leaked_blocks=%s " % words["leaked_blocks"] in err
    assert again == out[re.search(r"^\[\d\d:\d\d:\d\d\] Top", out, re.M).start():]


def test_sampling_does_not_guess(bench, programs):
    status, words, _ = bench.gate(programs["lost"], "x", options=["-s", "2"])
    assert (status, words["verdict"]) == (0, "ok")


@pytest.mark.parametrize("option", ["--follow", "--sample-bytes=64", "--min-size=1"])
def test_says_when_it_does_not_search(bench, programs, option):
    status, _, err = bench.run("--fail-on-leak", option, "--", programs["lost"])
    assert status == 0, err
    assert "with %s" % option.split("=")[0] in err and "is not searched" in err
    status, _, err = bench.run("--fail-on-leak", "--", programs["lost"])
    assert status == 0 and "not searched" not in err
