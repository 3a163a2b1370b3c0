# SPDX-License-Identifier: BSD-2-Clause
"""The agent backend: the same figures as the other, and a target that is none the worse for it."""
import json
import os
import random
import re
import shutil
import signal
import tempfile

import pytest

import helpers

AGENT = ("--backend", "agent")


def leftovers(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps:
        return [line for line in maps if "memleak-agent" in line]


def code(pid):
    """What the executable, file-backed mappings of a process hold."""
    contents = {}
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps, \
            open("/proc/%d/mem" % pid, "rb") as memory:
        for line in maps:
            span, rights, _, _, inode = line.split()[:5]
            if "x" in rights and inode != "0":
                start, end = (int(word, 16) for word in span.split("-"))
                memory.seek(start)
                contents[span] = memory.read(end - start)
    return contents


def state(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps:
        executable = [line.split()[0] for line in maps if " r-xp " in line]
    return code(pid), executable, sorted(os.listdir("/proc/%d/fd" % pid)), \
        len(os.listdir("/proc/%d/task" % pid))


def compare(bench, name, *arguments):
    """The target's truth against both backends' figures, site by site and stack by stack."""
    stacks = []
    for backend in ("bpf", "agent"):
        truth, report, _ = bench.trace(name, *arguments, options=("--backend", backend))
        assert report["backend"] == backend
        report.check_totals()
        if "musl" in name:
            # musl has no unwind information: strdup's caller is lost on the way.
            truth.pop("leak_strdup", None)
        for function, site in truth.items():
            bytes_, count = report.site(function)
            assert bytes_ == site["bytes"], (backend, function)
            assert count == site["count"] or not site["count"], (backend, function)
        stacks.append({(tuple(frame["symbol"] for frame in site["frames"]), site["bytes"],
                        site["count"]) for site in report.sites
                       if any(helpers.names(frame, function)
                              for frame in site["frames"] for function in truth)})
    assert stacks[0] == stacks[1]


@pytest.mark.parametrize("name", [
    "allocators", "realloc", "threads", "mappings", "new_delete", "cross_free", "big",
    "allocators-static", "allocators-musl", "allocators-musl-static", "allocators-jemalloc",
    "allocators-tcmalloc", "allocators-mimalloc",
])
def test_same_figures(bench, name):
    compare(bench, name)


def test_second_c_library(bench):
    compare(bench, "namespaces", bench.programs["libleaky.so"])


def test_every_call_is_counted(bench):
    truth, report, target = bench.trace("churn", 300000, options=AGENT, seconds=40)
    said = target.values()
    assert report["totals"]["allocs"] == said["allocs"]
    assert report["totals"]["frees"] == said["frees"]
    assert report["totals"]["untracked_frees"] == 0
    assert set(report["caveats"]) <= {"frames_unsymbolized"}
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function


def test_thread_churn(bench):
    truth, report, _ = bench.trace("thread_churn", 3000, options=AGENT, seconds=40)
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function


@pytest.mark.parametrize("follow", [(), ("-f",)])
@pytest.mark.parametrize("name", ["allocators", "allocators-static", "allocators-musl",
                                  "allocators-jemalloc", "new_delete"])
def test_command(bench, name, follow):
    """From its first allocation on: the same totals as the other backend's."""
    totals = []
    for backend in ("bpf", "agent"):
        run = bench.memleak("--json", "-o", "0", *follow, "--backend", backend, "5", "--",
                            bench.programs[name])
        assert run.wait() == 0, run.err()
        totals.append(run.final()["totals"])
    assert totals[0] == totals[1]


NEWER_THAN_3_4 = "memfd_create,pidfd_open,openat2,process_vm_readv,kcmp,statx,getrandom," \
    "clone3,close_range,renameat2,bpf,perf_event_open"


@pytest.mark.parametrize("errno", [1, 38])
def test_without_ebpf(bench, errno):
    """The agent is taken by itself, the reason is said in a line, the figures are right."""
    target = bench.target("allocators")
    run = bench.program([bench.programs["without"], "-e", errno, "bpf,perf_event_open",
                         helpers.MEMLEAK, "--json", "-o", "0", "-p", target.pid, "5"])
    helpers.wait_for(lambda: "Attaching to " in run.err(), helpers.START_S, "memleak attaches")
    truth = target.work()
    run.signal(signal.SIGINT)
    assert run.wait() == 0, run.err()
    assert re.search(r"agent.*eBPF does not work here", run.err())
    report = helpers.Report(json.loads(run.out().splitlines()[-1]))
    assert report["backend"] == "agent"
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function


@pytest.mark.parametrize("follow", [(), ("-f",)])
def test_command_without_newer_system_calls(bench, follow):
    run = bench.program([bench.programs["without"], NEWER_THAN_3_4, helpers.MEMLEAK, "--json",
                         "-o", "0", *follow, "5", "--", bench.programs["allocators"]])
    assert run.wait() == 0, run.err()
    report = helpers.Report(json.loads(run.out().splitlines()[-1]))
    assert report["backend"] == "agent"
    assert report.site("leak_malloc") == (2323, 23)


@pytest.mark.parametrize("errno, call", [
    ("38", "memfd_create"), ("kill", "memfd_create"), ("kill", "gettid"),
])
def test_filtered_target(bench, errno, call):
    """What gets the agent in is not seen by the filter, and the agent calls only what may be."""
    target = bench.target("without", "-e", errno, call, bench.programs["allocators"])
    run = bench.attach(target.pid, *AGENT)
    truth = target.work()
    run.interrupt()
    for function, site in truth.items():
        assert run.final().site(function) == (site["bytes"], site["count"]), function
    assert not leftovers(target.pid)
    assert target.finish() == 0


@pytest.mark.parametrize("lacking", ["", NEWER_THAN_3_4])
def test_plain_user(bench, lacking):
    """By itself the agent is taken, on the user's own processes."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        names = [shutil.copy(path, folder) for path in
                 (helpers.MEMLEAK, bench.programs["without"], bench.programs["allocators"])]
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        filtered = [names[1], lacking] if lacking else []
        run = bench.program([*user, *filtered, names[0], "--json", "-o", "0", "5", "--", names[2]])
        assert run.wait() == 0, run.err()
        assert "eBPF does not work here" in run.err()
        report = helpers.Report(json.loads(run.out().splitlines()[-1]))
        assert report["backend"] == "agent"
        assert report.site("leak_malloc") == (2323, 23)


@pytest.mark.skipif(not shutil.which("bpftrace"), reason="needs bpftrace")
@pytest.mark.parametrize("is_first", [True, False])
def test_foreign_probe(bench, is_first, tmp_path):
    """bpftrace puts its breakpoints into every process that maps the library, whatever its -p: it
    gets one that only ours have."""
    libc = shutil.copy("/lib/x86_64-linux-gnu/libc.so.6", tmp_path)
    own = {"LD_LIBRARY_PATH": str(tmp_path)}
    other = bench.target("ticker", env=own)
    target = bench.target("allocators", env=own)
    probe = ["bpftrace", "-p", str(other.pid), "-e",
             "uprobe:%s:malloc,uprobe:%s:free { @ = count(); }" % (libc, libc)]
    before = code(target.pid)

    seen = [before]

    def has_attached():
        """Both of its probes are there: nothing has changed since half a second ago."""
        seen.append(code(target.pid))
        bench.pause(0.5)
        return seen[-1] != before and seen[-1] == seen[-2]

    def trap():
        bench.program(probe)
        helpers.wait_for(has_attached, 30, "bpftrace attaches")

    if is_first:
        trap()
    run = bench.attach(target.pid, *AGENT)
    if not is_first:
        before = code(target.pid)
        trap()
    truth = target.work()
    run.interrupt()
    print("memleak said: %s\n%s" % (run.err(), run.final()["totals"]))
    for function, site in truth.items():
        assert run.final().site(function) == (site["bytes"], site["count"]), function
    assert not leftovers(target.pid)
    assert target.finish() == 0


def test_doctor_repairs(bench):
    target = busy(bench)
    before = state(target.pid)
    run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
    run.wait_attached()
    run.process.kill()
    run.process.wait()
    assert state(target.pid) != before
    status, out, _ = bench.run("doctor", "-p", target.pid)
    assert status == 0 and "killed left its agent" in out
    status, out, _ = bench.run("doctor", "--repair", "-p", target.pid)
    assert status == 0 and "took out" in out
    assert state(target.pid) == before
    status, out, _ = bench.run("doctor", "-p", target.pid)
    assert status == 0 and "no agent" in out
    check_busy(target)


def test_forked_children_are_cleaned(bench):
    """Children that nobody follows inherit stubs; they are gone with the agent."""
    _, _, target = bench.trace("forker", options=AGENT)
    with open("/proc/%d/task/%d/children" % (target.pid, target.pid), encoding="ascii") as text:
        children = [int(word) for word in text.read().split()]
    assert len(children) == 3
    for child in children:
        assert code(child) == code(target.pid)
        assert state(child)[1] == state(target.pid)[1]
    assert target.finish() == 0


def busy(bench):
    target = bench.target("busy")
    target.tell()
    target.wait_event("busy")
    return target


def check_busy(target):
    assert target.is_running(), target.process.returncode
    target.tell()
    target.wait_event("done")
    values = target.values()
    assert (values["wrong"], values["rounds"], values["forks"]) == (0, 1, 1)
    assert target.finish() == 0


def test_nothing_is_left_behind(bench):
    target = busy(bench)
    before = state(target.pid)
    for _ in range(5):
        run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
        run.wait_attached()
        assert leftovers(target.pid)
        assert code(target.pid) != before[0], "nothing was patched"
        helpers.wait_worked(target.pid)
        run.interrupt()
        assert run.final()["totals"]["allocs"] > 0
        assert state(target.pid) == before
    check_busy(target)


def test_no_memory_is_writable_and_executable(bench):
    target = bench.target("ticker")
    run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
    run.wait_attached()
    with open("/proc/%d/maps" % target.pid, encoding="ascii") as maps:
        assert not [line for line in maps if "wx" in line.split()[1]]
    run.interrupt()


def test_killed_at_any_moment(bench):
    target = busy(bench)
    before = state(target.pid)
    for _ in range(10):
        run = bench.memleak("--json", *AGENT, "-p", target.pid, "0.2")
        bench.pause(random.random() * 0.6)
        run.process.kill()
        run.process.wait()
        assert target.is_running(), target.process.returncode
    # Whatever the last one left, the next one can attach and takes it all away.
    run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
    run.wait_attached()
    bench.pause(0.1)
    run.interrupt()
    assert state(target.pid) == before
    check_busy(target)


def test_two_at_once(bench):
    target = bench.target("ticker")
    run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
    run.wait_attached()
    status, _, err = bench.run(*AGENT, "-p", target.pid, "1", "1")
    assert status == 3 and "another memleak" in err
    run.interrupt()
    assert not leftovers(target.pid)


def test_debugged_target(bench):
    target = bench.target("ticker")
    tracer = bench.program(["strace", "-o", "/dev/null", "-p", str(target.pid)]) \
        if os.path.exists("/usr/bin/strace") else None
    if not tracer:
        pytest.skip("needs strace")
    helpers.wait_for(lambda: "TracerPid:\t0" not in open("/proc/%d/status" % target.pid).read(),
                     5, "strace attaches")
    status, _, err = bench.run(*AGENT, "-p", target.pid, "1", "1")
    assert status == 3 and "already traced by process %d (strace)" % tracer.pid in err


def job_state(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def test_stopped_target(bench):
    """Job control's stop is no obstacle, in or out, and stays as it is; its parent hears of one."""
    target = bench.target("ticker")
    before = code(target.pid)
    target.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, target.pid, os.WSTOPPED)
    status, _, err = bench.run(*AGENT, "-p", target.pid, "0.2", "1")
    assert status == 0, err
    assert job_state(target.pid) == "T" and code(target.pid) == before
    run = bench.attach(target.pid, *AGENT)
    target.signal(signal.SIGCONT)
    rounds = len(target.lines())
    helpers.wait_for(lambda: len(target.lines()) > rounds, helpers.START_S, "it goes on")
    target.signal(signal.SIGSTOP)
    helpers.wait_for(lambda: job_state(target.pid) == "T", helpers.START_S, "it is stopped")
    os.waitid(os.P_PID, target.pid, os.WSTOPPED)
    run.interrupt()
    assert run.final()["totals"]["allocs"] > 0
    assert job_state(target.pid) == "T" and code(target.pid) == before
    assert not os.waitid(os.P_PID, target.pid, os.WSTOPPED | os.WNOHANG)
    target.signal(signal.SIGCONT)
    rounds = len(target.lines())
    helpers.wait_for(lambda: len(target.lines()) > rounds, helpers.START_S, "it goes on")


def check_estimates(truth, report, samples):
    """Figures within five standard deviations; @samples is how many each stands on, about."""
    for function, site in truth.items():
        bytes_, count = report.site(function)
        tolerance = 5 / samples[function] ** 0.5
        assert abs(bytes_ - site["bytes"]) < tolerance * site["bytes"], function
        assert abs(count - site["count"]) < tolerance * site["count"], function


@pytest.mark.parametrize("backend", ["agent", "bpf"])
def test_sampling_by_bytes(bench, backend):
    truth, report, target = bench.trace(
        "sampled", options=("--backend", backend, "--sample-bytes", "10000"), seconds=40)
    assert report["sampling"] == {"mode": "bytes", "n": 10000}
    # 8 MB of small blocks are 800 samples; large ones are kept with p = 1 - 1/e.
    check_estimates(truth, report, {"leak_small": 800, "leak_large": 600})
    allocs = target.values()["allocs"]
    assert abs(report["totals"]["allocs"] - allocs) < 5 / 1600 ** 0.5 * allocs


def test_sampling_by_calls(bench):
    _, report, target = bench.trace("sampled", options=AGENT + ("-s", "10"), seconds=40)
    assert report["totals"]["allocs"] == target.values()["allocs"] // 10
    # Every tenth: their numbers are all even or all odd, so that all are freed or none is.
    assert report.site("leak_small")[1] in (0, 16000)


# mimalloc, which is C in Debian, ends the program instead of throwing.
@pytest.mark.parametrize("build", ["throwing", "throwing-jemalloc", "throwing-tcmalloc"])
def test_exceptions_pass(bench, build):
    # tcmalloc says each time that it has no memory, on stderr.
    truth, report, target = bench.trace(build, options=AGENT, seconds=40)
    said = target.values()
    assert (said["caught"], said["handled"], said["misaligned"]) == (800, 400, 0)
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function
    assert target.finish() == 0


def test_target_ends_meanwhile(bench):
    target = bench.target("ticker")
    run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
    run.wait_attached()
    target.kill()
    assert run.wait() == 0
    assert run.final()["final"] is True


def test_stacks_are_complete(bench):
    _, report, _ = bench.trace("deep", 20, options=AGENT)
    for function in ("leak_at_depth", "leak_in_callback", "leak_below_big_frame",
                     "leak_below_huge_frame", "leak_below_alloca"):
        site = report.sites_of(function)[0]
        assert site["stack_end"] == "complete", function
        assert site["frames"][-1]["symbol"] in ("_start", "__libc_start_main"), function


def test_children_go_on(bench):
    truth, report, target = bench.trace("forker", options=AGENT)
    assert report.site("leak_in_parent") == (truth["leak_in_parent"]["bytes"],
                                             truth["leak_in_parent"]["count"])
    assert report.site("leak_in_child") == (0, 0)
    assert target.finish() == 0


def test_target_execs(bench):
    target = bench.target("forker", "exec")
    run = bench.attach(target.pid, *AGENT)
    target.work()
    run.interrupt()
    assert not leftovers(target.pid)
    assert target.finish() == 0


def test_target_in_container(bench):
    shell = bench.program([os.path.join(helpers.ROOT, "examples", "run_in_container.sh"),
                           bench.programs["app"]])
    pid = int(helpers.wait_for(
        lambda: re.search(r"^host pid (\d+)$", shell.out(), re.MULTILINE),
        helpers.START_S, "the container runs").group(1))
    run = bench.attach(pid, *AGENT, interval="0.5")
    helpers.wait_for(lambda: any(report.site("fibonacci")[1] for report in run.reports()), 10,
                     "a leak is seen")
    run.interrupt()
    assert not leftovers(pid)
