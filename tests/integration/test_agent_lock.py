# SPDX-License-Identifier: BSD-2-Clause
"""Programs that may lock their memory, and with it all of the agent's, used or not."""


def test_is_said(bench):
    target = bench.target("locker")
    target.wait_event("ready")
    run = bench.attach(target.pid, "--backend", "agent")
    assert "locker calls mlockall" in run.err()
    target.work()
    run.interrupt()
    run.final()


def test_is_not_said_of_others(bench):
    target = bench.target("ticker")
    run = bench.attach(target.pid, "--backend", "agent")
    assert "mlockall" not in run.err()
    run.interrupt()
    run.final()
