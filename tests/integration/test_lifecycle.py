# SPDX-License-Identifier: BSD-2-Clause
"""How runs end, on either side; and that the target never notices."""
import json
import os
import random
import signal
import subprocess

import pytest

import helpers


def checksums(program):
    """{round: checksum} of ticker's output so far."""
    text = program.out()
    lines = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
    return {line["round"]: line["checksum"] for line in lines if "round" in line}


def check_works_on(ticker, reference):
    """@ticker goes on, and prints exactly what an untraced one prints."""
    before = len(checksums(ticker))
    helpers.wait_for(lambda: len(checksums(ticker)) >= before + 2, 20, "the target works on")
    assert ticker.is_running()
    seen, expected = checksums(ticker), checksums(reference)
    common = seen.keys() & expected.keys()
    assert common
    assert all(seen[round_] == expected[round_] for round_ in common)


@pytest.fixture
def ticker(bench):
    return bench.target("ticker")


@pytest.fixture
def reference(bench):
    return bench.target("ticker")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_gives_final_report(bench, ticker, reference, number):
    run = bench.attach(ticker.pid)
    ticker.wait_lines(2)
    run.interrupt(number)
    assert run.final().site("leak_now_and_then")[1] > 0
    assert run.err() == "" or "Traceback" not in run.err()
    check_works_on(ticker, reference)


def test_signal_while_attaching(bench, ticker, reference):
    """A signal at any moment of the start ends it soon, and cleanly."""
    for delay in (0.0, 0.02, 0.1, 0.3):
        run = bench.memleak("-p", ticker.pid, "5")
        bench.pause(delay)
        run.signal(signal.SIGTERM)
        assert run.wait() in (0, -signal.SIGTERM)
    check_works_on(ticker, reference)


def test_killed_at_random_moments(bench, ticker, reference):
    """SIGKILL leaves the target unharmed, and it can be traced again."""
    moments = random.Random(23)
    for _ in range(5):
        run = bench.memleak("--json", "-o", "0", "-p", ticker.pid, "0.2")
        bench.pause(moments.uniform(0, 1))
        run.kill()
        assert not run.is_running()
    check_works_on(ticker, reference)
    run = bench.attach(ticker.pid)
    ticker.wait_lines(2)
    run.interrupt()
    assert run.final().site("leak_now_and_then")[1] > 0
    check_works_on(ticker, reference)


def test_stopped_is_not_dead(bench, ticker, reference):
    """A memleak that gets no CPU time, here since it is stopped, keeps its agent."""
    first = bench.attach(ticker.pid, "--backend", "agent")
    first.signal(signal.SIGSTOP)
    status, _, err = bench.run("--backend", "agent", "-p", ticker.pid, "1", "1")
    assert status == 3 and "another memleak" in err
    first.signal(signal.SIGCONT)
    ticker.wait_lines(2)
    first.interrupt()
    assert first.final().site("leak_now_and_then")[1] > 0
    check_works_on(ticker, reference)


def test_two_at_once(bench, ticker, reference):
    """Two memleaks on one target: both work, or the second says why it cannot."""
    first = bench.attach(ticker.pid)
    second = bench.memleak("--json", "-o", "0", "-p", ticker.pid, "0.3", "3")
    assert second.wait(40) in (0, 3)
    assert second.reports() or second.err()
    ticker.wait_lines(2)
    first.interrupt()
    assert first.final().site("leak_now_and_then")[1] > 0
    check_works_on(ticker, reference)


@pytest.mark.parametrize("how, status", [("status", 3), ("main-thread", 0),
                                         ("crash", -signal.SIGSEGV), ("abort", -signal.SIGABRT)])
def test_target_ends(bench, how, status):
    target = bench.target("ending", how)
    run = bench.attach(target.pid)
    truth = target.work()
    assert target.finish() == status, "being traced changed how the target ends"
    assert run.wait() == 0, run.err()
    assert run.final().site("leak_before_end") == (truth["leak_before_end"]["bytes"],
                                                   truth["leak_before_end"]["count"])


def test_target_end_is_said(bench):
    target = bench.target("ending", "status")
    run = bench.memleak("-o", "0", "-p", target.pid, "0.3")
    run.wait_attached()
    target.work()
    target.finish()
    assert run.wait() == 0
    assert "ended" in run.out() + run.err() or "exited" in run.out() + run.err()
    assert "leak_before_end" in run.out()


def test_target_gone_before_the_first_report(bench):
    program = bench.program(["sleep", "1.5"])
    status, out, err = bench.run("-p", program.pid, "30")
    # It may have got the chance of a last report; without any the status says so.
    assert status == (0 if "outstanding allocations" in out else 4), err


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_target_is_starting(bench, backend):
    """./server & memleak -p $!: the loader, which waits for a pipe here, has not come to libc."""
    pipe = os.path.join(bench.directory, "preload")
    os.mkfifo(pipe)
    target = bench.program([bench.programs["allocators"]], stdin=subprocess.PIPE,
                           env=dict(os.environ, LD_PRELOAD=pipe))
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-p", target.pid, "60")
    bench.pause(0.3)
    os.close(os.open(pipe, os.O_WRONLY))
    run.wait_attached()
    os.write(target.process.stdin.fileno(), b"\n\n")
    assert run.wait(20) in (0, 4), run.err()
    assert run.final().site("leak_malloc") == (2323, 23)


def test_target_execs(bench):
    target = bench.target("forker", "exec")
    run = bench.attach(target.pid)
    target.work()
    run.interrupt()
    run.final().check_totals()
    assert target.finish() == 0


def test_target_forks(bench):
    """Children that are not followed are neither harmed nor counted."""
    truth, report, target = bench.trace("forker")
    assert report.site("leak_in_parent") == (7000, 1)
    assert report.site("leak_in_child") == (0, 0)
    assert len([line for line in target.lines() if line.get("site") == "leak_in_child"]) == 3
    assert target.finish() == 0


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_target_gets_its_signals(bench, backend):
    target = bench.target("signals")
    run = bench.attach(target.pid, "--backend", backend)
    target.tell()
    # A first one may come before the handler works only if "ready" had not been said.
    for _ in range(101):
        os.kill(target.pid, signal.SIGRTMIN)
        bench.pause(0.005)
    truth = target.work()
    run.interrupt()
    assert target.values()["queued_signals"] == 101
    site = truth["leak_between_signals"]
    assert run.final().site("leak_between_signals") == (site["bytes"], site["count"])
    assert target.finish() == 0


def test_stopped_target(bench, ticker, reference):
    ticker.signal(signal.SIGSTOP)
    run = bench.memleak("--json", "-o", "0", "-p", ticker.pid, "0.3")
    bench.pause(1.5)
    ticker.signal(signal.SIGCONT)
    run.wait_attached()
    ticker.wait_lines(2)
    run.interrupt()
    assert run.final().site("leak_now_and_then")[1] > 0
    check_works_on(ticker, reference)


def test_closed_pipe(bench, ticker):
    """The reader of the reports goes away: a quiet end."""
    reader, writer = os.pipe()
    try:
        run = bench.memleak("--json", "-o", "0", "--backend", "bpf", "-p", ticker.pid, "0.2",
                            stdout=writer)
        os.close(writer)
        writer = -1
        assert helpers.read_some(reader, helpers.START_S)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    assert run.wait() in (0, -signal.SIGPIPE)
    assert run.err() == "Attaching to pid %d, Ctrl+C to quit.\n" % ticker.pid
    assert ticker.is_running()


def test_full_disk(bench, ticker):
    with open("/dev/full", "wb") as full:
        run = bench.memleak("-o", "0", "-p", ticker.pid, "0.2", "3", stdout=full)
        assert run.wait() == 3
    assert "No space left" in run.err()
    assert ticker.is_running()


def test_nothing_stays_attached(bench, ticker):
    """After the end no BPF program of ours is left in the kernel."""
    run = bench.attach(ticker.pid)
    run.interrupt()
    pid = run.pid
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], timeout=20, check=False,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert '"pid":%d,' % pid not in shown.stdout


def test_unprivileged_user_is_told(bench, ticker):
    """Without privileges: one line that says what is missing, status 3."""
    copy = os.path.join("/tmp", "memleak-unprivileged-%d" % os.getpid())
    subprocess.run(["install", "-m", "755", helpers.MEMLEAK, copy], check=True, timeout=20)
    try:
        run = bench.program(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                             copy, "-p", str(ticker.pid), "1", "1"])
        assert run.wait() == 3
        assert 1 <= len(run.err().splitlines()) <= 2
        assert "root" in run.err() or "CAP_" in run.err() or "ermission" in run.err() \
            or "ermitted" in run.err()
    finally:
        os.unlink(copy)
