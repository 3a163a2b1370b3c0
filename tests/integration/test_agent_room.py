# SPDX-License-Identifier: BSD-2-Clause
"""The agent's books are the target's memory: near the limit of its cgroup they must not kill it."""
import os
import uuid

import pytest

import helpers

MIB = 1 << 20
ROOTS = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]


@pytest.fixture
def limited():
    """Makes cgroups with a limit: a function of the limit that gives the cgroup's directory."""
    made = []

    def make(limit):
        root, name = next((root, name) for root, name in ROOTS if os.path.exists(
            os.path.join(root, "cgroup.procs")))
        directory = os.path.join(root, "memleak-test-%s" % uuid.uuid4().hex)
        os.mkdir(directory)
        made.append(directory)
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(str(limit))
        return directory

    yield make
    for directory in made:
        helpers.wait_for(lambda directory=directory: not open(
            os.path.join(directory, "cgroup.procs"), encoding="ascii").read().strip(),
                         helpers.END_S, "the cgroup is empty")
        os.rmdir(directory)


def target_in(bench, directory, name, *arguments):
    target = bench.target(name, *arguments)
    with open(os.path.join(directory, "cgroup.procs"), "w", encoding="ascii") as procs:
        procs.write(str(target.pid))
    return target


def test_too_little_is_left(bench, limited):
    target = target_in(bench, limited(12 * MIB), "big")
    try:
        status, _, err = bench.run("--backend", "agent", "-p", target.pid)
        assert status == 3
        assert "left to the limit of its cgroup" in err and "--backend bpf" in err, err
        target.work()
    finally:
        target.kill()


def test_books_leave_room(bench, limited):
    """A million blocks in a cgroup that has no room for books of all of them: some are counted as
    lost, and the program lives."""
    target = target_in(bench, limited(52 * MIB), "many_blocks")
    try:
        run = bench.attach(target.pid, "--backend", "agent")
        target.work()
        run.interrupt()
        report = run.final()
        assert report["caveats"]["live_table_full"] > 0
        assert 100000 < report["totals"]["outstanding_count"] < 1000000
        assert target.finish() == 0
    finally:
        target.kill()
