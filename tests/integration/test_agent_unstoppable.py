# SPDX-License-Identifier: BSD-2-Clause
"""Processes that cannot be stopped now, as in a paused container: said in time, and no harm done."""
import helpers
from test_agent import AGENT, code


def waits_for_child(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "D"


def test_thread_that_does_not_stop(bench):
    target = bench.target("blocked")
    before = code(target.pid)
    helpers.wait_for(lambda: waits_for_child(target.pid), helpers.START_S, "it waits for its child")
    status, _, err = bench.run(*AGENT, "-p", target.pid, "0.2", "1")
    assert status == 3 and "does not stop" in err, err
    assert code(target.pid) == before
    with open("/proc/%d/status" % target.pid, encoding="ascii") as text:
        assert "TracerPid:\t0\n" in text.read()
    target.work()
    run = bench.attach(target.pid, *AGENT)
    run.interrupt()
    assert target.finish() == 0
