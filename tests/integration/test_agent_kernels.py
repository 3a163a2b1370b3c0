# SPDX-License-Identifier: BSD-2-Clause
"""The agent on kernels as old as 3.4, which a filter imitates, for the tool, the target, or both."""
import json
import os
import shutil
import signal
import tempfile

import pytest

import helpers

OLD = "later"  # see tests/targets/without.c
USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def memleak(bench, *arguments, filtered=True, before=()):
    words = [*before, bench.programs["without"], OLD] if filtered else [*before]
    return bench.program([*words, helpers.MEMLEAK, *map(str, arguments)])


def start(bench, name, filtered):
    if filtered:
        return bench.target("without", OLD, bench.programs[name])
    return bench.target(name)


def attach(bench, pid, *options, filtered=True, before=()):
    run = memleak(bench, "--json", "-o", "0", *options, "-p", pid, "5", filtered=filtered,
                  before=before)
    helpers.wait_for(lambda: "Attaching to " in run.err() or not run.is_running(),
                     helpers.START_S, "memleak attaches")
    assert run.is_running(), run.err()
    return run


def end(run):
    run.signal(signal.SIGINT)
    return last(run)


def last(run):
    assert run.wait() == 0, run.err()
    return helpers.Report(json.loads(run.out().splitlines()[-1]))


def leftovers(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps:
        return [line for line in maps if "memleak-agent" in line or "/dev/zero" in line]


def executable(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps:
        return [line.split()[0] for line in maps if " r-xp " in line]


def check(report, truth):
    assert report["backend"] == "agent"
    report.check_totals()
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function


@pytest.mark.parametrize("who", ["tool", "target"])
def test_process(bench, who):
    target = start(bench, "allocators", who == "target")
    before = executable(target.pid), os.listdir("/proc/%d/fd" % target.pid)
    run = attach(bench, target.pid, "--backend", "agent", filtered=who == "tool")
    truth = target.work()
    check(end(run), truth)
    assert not leftovers(target.pid)
    assert (executable(target.pid), os.listdir("/proc/%d/fd" % target.pid)) == before
    assert target.finish() == 0


SANDBOX = """program=$1 input=$2 output=$3; shift 3
"$program" <"$input" >"$output" & while [ ! -s "$output" ]; do sleep 0.05; done
"$@" -p $! 5; status=$?; wait; exit $status"""


def sandbox(bench, program, *options, before=()):
    """Starts both in one: (memleak's shell, the target's input to be opened, its output)."""
    fifo, output = (os.path.join(bench.directory, name) for name in ("fifo", "output"))
    os.mkfifo(fifo)
    run = bench.program([*before, bench.programs["without"], OLD, "sh", "-c", SANDBOX, "sh",
                         bench.programs[program], fifo, output, helpers.MEMLEAK, "--json",
                         "-o", "0", *options])
    return run, fifo, output


def said(output):
    with open(output, encoding="ascii") as text:
        return [json.loads(line) for line in text]


def has_attached(run):
    helpers.wait_for(lambda: "Attaching to " in run.err() or not run.is_running(),
                     helpers.START_S, "memleak attaches")
    assert run.is_running(), run.err()


@pytest.mark.parametrize("backend", ["auto", "agent"])
def test_both_in_a_sandbox(bench, backend):
    """Neither may read the filter, but it is one and the same, which lets the agent's calls pass."""
    run, fifo, output = sandbox(bench, "allocators", "--backend", backend)
    with open(fifo, "w", encoding="ascii") as lines:
        has_attached(run)
        lines.write("\n\n")
    check(last(run), {line["site"]: line for line in said(output) if "site" in line})
    assert ("eBPF does not work here" in run.err()) == (backend == "auto")


def test_forks_in_a_sandbox(bench):
    """Children nobody follows, without MADV_WIPEONFORK: not booked on their parent."""
    run, fifo, output = sandbox(bench, "forker", "--backend", "agent")
    with open(fifo, "w", encoding="ascii") as lines:
        has_attached(run)
        lines.write("\n\n")
    report = last(run)
    assert report.site("leak_in_parent") == (7000, 1)
    assert report.site("leak_in_child") == (0, 0)


def test_busy_in_a_sandbox(bench):
    """Threads that allocate and one that forks without pause: no child is the worse for it."""
    run, fifo, output = sandbox(bench, "busy", "--backend", "agent")
    with open(fifo, "w", encoding="ascii", buffering=1) as lines:
        has_attached(run)
        lines.write("\n")
        helpers.wait_for(lambda: {"event": "busy"}.items() <= said(output)[-1].items(),
                         helpers.START_S, "it is busy")
        bench.pause(0.3)
        lines.write("\n\n")
    assert last(run)["totals"]["allocs"] > 0
    values = {line["value"]: line["is"] for line in said(output) if "value" in line}
    assert (values["wrong"], values["rounds"], values["forks"]) == (0, 1, 1)


def test_no_room_above_the_stack(bench):
    """Without randomization forked children could not be told apart: a refusal, no harm done."""
    run, fifo, output = sandbox(bench, "allocators", "--backend", "agent",
                                before=["setarch", "-R"])
    with open(fifo, "w", encoding="ascii") as lines:
        helpers.wait_for(lambda: "setarch -R" in run.err() or not run.is_running(),
                         helpers.START_S, "memleak refuses")
        lines.write("\n\n")
    assert run.wait() == 3 and "Linux 4.14" in run.err()
    assert {"event": "done"}.items() <= said(output)[-1].items()


@pytest.mark.parametrize("follow", [(), ("-f",)])
@pytest.mark.parametrize("option", ["--", "-c"])
def test_command(bench, follow, option):
    run = memleak(bench, "--json", "-o", "0", *follow, "5", option, bench.programs["allocators"])
    report = last(run)
    assert report["backend"] == "agent"
    assert report.site("leak_malloc") == (2323, 23)
    # The vDSO is copied without memfd_create().
    assert "modules_unreadable" not in report["caveats"]


def test_forked_children_are_followed(bench):
    report = last(memleak(bench, "--json", "-o", "0", "-f", "5", "--", bench.programs["forker"]))
    assert report.site("leak_in_child") == (6000, 3)
    assert report.site("leak_in_parent") == (7000, 1)


@pytest.mark.parametrize("who", ["tool", "target"])
def test_forked_children_are_told_apart(bench, who):
    """Their calls are not booked on their parent, and they are cleaned as well."""
    target = start(bench, "forker", who == "target")
    before = executable(target.pid)
    run = attach(bench, target.pid, "--backend", "agent", filtered=who == "tool")
    target.work()
    report = end(run)
    assert report.site("leak_in_parent") == (7000, 1)
    assert report.site("leak_in_child") == (0, 0)
    with open("/proc/%d/task/%d/children" % (target.pid, target.pid), encoding="ascii") as text:
        children = text.read().split()
    assert len(children) == 3
    for pid in [target.pid, *map(int, children)]:
        assert executable(pid) == before and not leftovers(pid)
    assert target.finish() == 0


@pytest.mark.parametrize("options", [(), ("--sample-bytes", "4096")])
def test_busy_target(bench, options):
    """Threads that allocate and one that forks, without pause."""
    target = start(bench, "busy", True)
    target.tell()
    target.wait_event("busy")
    for _ in range(3):
        run = attach(bench, target.pid, "--backend", "agent", *options, filtered=False)
        helpers.wait_worked(target.pid)
        assert end(run)["totals"]["allocs"] > 0
    target.tell()
    target.wait_event("done")
    values = target.values()
    assert (values["wrong"], values["rounds"], values["forks"]) == (0, 1, 1)
    assert target.finish() == 0


def test_no_signal_is_lost(bench):
    """They come while the target runs calls of ours, which nothing keeps them from."""
    target = start(bench, "signals", False)
    target.tell()
    sent = 0
    for _ in range(3):
        run = memleak(bench, "--backend", "agent", "-p", target.pid, "5")
        while "Attaching to " not in run.out() + run.err():
            assert run.is_running(), run.err()
            os.kill(target.pid, signal.SIGRTMIN)
            sent += 1
            bench.pause(0.001)
        run.signal(signal.SIGINT)
        assert run.wait() == 0, run.err()
    target.tell()
    target.wait_event("done")
    assert target.values()["queued_signals"] == sent
    assert target.finish() == 0


def test_killed_tool_leaves_what_the_next_removes(bench):
    target = start(bench, "allocators", True)
    before = executable(target.pid)
    run = attach(bench, target.pid, "--backend", "agent", filtered=False)
    run.process.kill()
    run.process.wait()
    status, out, _ = bench.run("doctor", "--repair", "-p", target.pid)
    assert status == 0 and "took out" in out
    assert executable(target.pid) == before and not leftovers(target.pid)
    target.work()
    assert target.finish() == 0


def end_after(run, target):
    target.work()
    return end(run)


def test_library_loaded_later(bench):
    target = bench.target("dlopen_leak", bench.programs["libleaky.so"])
    run = attach(bench, target.pid, "--backend", "agent")
    check(end_after(run, target), target.sites())
    assert not leftovers(target.pid) and target.finish() == 0


def test_sampled(bench):
    """A mean of one byte keeps every block, by the ways that sampling takes."""
    target = start(bench, "allocators", False)
    run = attach(bench, target.pid, "--backend", "agent", "--sample-bytes", "1")
    check(end_after(run, target), target.sites())
    assert target.finish() == 0


def test_python(bench):
    """Names of Python's functions are read from its memory."""
    bench.programs.extra["python"] = "/usr/bin/python3"
    target = bench.target("python", os.path.join(helpers.TARGETS, "leak.py"))
    run = attach(bench, target.pid, "--backend", "agent")
    said = target.work()["leak_strings"]
    sites = [site for site in end(run).sites_of("leak_strings")
             if site["bytes"] * said["count"] == site["count"] * said["bytes"]]
    assert sum(site["count"] for site in sites) == said["count"]


@pytest.mark.parametrize("limit", ["-v 200000", "-n 17"])
def test_limits_of_the_tool(bench, limit):
    """What it cannot map or open itself is nothing that the target is left with."""
    target = start(bench, "allocators", False)
    run = bench.program(["sh", "-c", "ulimit %s; exec \"$@\"" % limit, "sh", helpers.MEMLEAK,
                         "--backend", "agent", "-p", str(target.pid), "1"])
    assert run.wait() == 3, run.out()
    assert ("ulimit -v" if "-v" in limit else "Too many open files") in run.err()
    assert not leftovers(target.pid)
    target.work()
    assert target.finish() == 0


def copies(bench, folder):
    os.chmod(folder, 0o755)
    return [shutil.copy(path, folder) for path in
            (helpers.MEMLEAK, bench.programs["without"], bench.programs["allocators"])]


def test_plain_user(bench):
    """Its own command and process; the memory is a file in /dev/shm."""
    with tempfile.TemporaryDirectory() as folder:
        tool, without, program = copies(bench, folder)
        run = bench.program([*USER, without, OLD, tool, "--json", "-o", "0", "5", "--", program])
        report = last(run)
        assert report["backend"] == "agent" and "eBPF does not work here" in run.err()
        assert report.site("leak_malloc") == (2323, 23)
        target = bench._keep(helpers.Target([*USER, program], bench.directory, "users"))
        run = bench.program([*USER, without, OLD, tool, "--json", "-o", "0", "-p",
                             str(target.pid), "5"])
        helpers.wait_for(lambda: "Attaching to " in run.err() or not run.is_running(),
                         helpers.START_S, "memleak attaches")
        check_run = target.work()
        check(end(run), check_run)
        assert not leftovers(target.pid) and target.finish() == 0


def test_other_commands(bench):
    """report, doctor and a recording need none of it."""
    path = os.path.join(bench.directory, "recording.ml")
    run = memleak(bench, "-o", "0", "--output", path, "5", "--", bench.programs["allocators"])
    assert run.wait() == 0, run.err()
    report = last(memleak(bench, "report", "--json", path))
    assert report.site("leak_malloc") == (2323, 23)
    target = start(bench, "allocators", False)
    run = memleak(bench, "doctor", "-p", target.pid)
    assert run.wait() in (0, 3)
    assert "no agent is in it" in run.out(), run.out()
