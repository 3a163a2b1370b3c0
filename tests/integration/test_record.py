# SPDX-License-Identifier: BSD-2-Clause
"""Recordings: reports from them, marks, differences, baselines, and what is wrong with them."""
import json
import os
import resource
import signal
import subprocess

import pytest

import conftest
import helpers

FIRST = (23 * 101, 23)  # of steps.c
SECOND = (7 * 1009, 7)
USAGE, CANNOT = 2, 3


def last_report(text):
    """The last report in what a run in text printed."""
    return text[text.rindex("\n[") + 1:]


def wait_reports(run, count):
    """Waits until @run has written @count reports, in text or JSON."""
    helpers.wait_for(lambda: run.out().count('"final":') + run.out().count("\n[") >= count,
                     helpers.START_S, "%d reports" % count)


def record(bench, name, *options, steps=2, program="steps", mark=False):
    """Traces steps.c through its @steps, recorded in @name: the run and its target, both ended."""
    path = os.path.join(bench.directory, name)
    target = bench.target(program)
    run = bench.memleak("-w", path, "-o", "0", *options, "-p", target.pid, "0.3")
    run.wait_attached()
    target.tell()
    target.wait_event("first")
    if mark:
        wait_reports(run, 1)
        run.signal(signal.SIGUSR1)
        helpers.wait_for(lambda: "mark 1 at " in run.err(), helpers.START_S, "the mark is told")
    if steps == 2:
        target.tell()
        target.wait_event("done")
    wait_reports(run, 2)
    run.interrupt()
    target.kill()
    return path, run


def replay(bench, *arguments):
    """What `memleak` prints about a recording."""
    status, out, err = bench.run(*arguments)
    assert status == 0, err
    return out


def sites(document):
    report = helpers.Report(document)
    return report.site("leak_first"), report.site("leak_second")


def test_the_same_text(bench):
    """The run's own last report, to the byte; also when the program is not there any more."""
    path, run = record(bench, "run.ml")
    assert replay(bench, "report", path) == last_report(run.out())
    # On another machine: other time zone, nothing of the process.
    status, out, _ = bench.run("report", path, env={"TZ": "XYZ-5", "DEBUGINFOD_URLS": ""})
    assert (status, out) == (0, last_report(run.out()))
    assert "steps.c:" in out and "leak_second" in out


@pytest.mark.parametrize("options", [(), ("-a",), ("-T", "1", "--sort", "count"), ("-C",)])
def test_every_report_of_a_run(bench, options):
    path, run = record(bench, "run.ml", "--json", *options)
    lines = run.out().splitlines()
    assert len(lines) >= 3
    for line in lines:
        at = "+%.9f" % (json.loads(line)["elapsed_s"] + 1e-6)
        assert replay(bench, "report", path, "--json", "--at", at) == line + "\n"


def test_formats(bench):
    path, _ = record(bench, "run.ml")
    for format_, begin in (("folded", b""), ("svg", b"<?xml"), ("html", b"<!DOCTYPE"),
                           ("pprof", b"\x1f\x8b"), ("heaptrack", b"v ")):
        out = os.path.join(bench.directory, "report." + format_)
        replay(bench, "report", path, "--format", format_, "-w", out)
        with open(out, "rb") as report:
            content = report.read()
        assert content.lower().startswith(begin.lower()), (format_, content[:20])
        assert format_ in ("pprof", "html") or b"leak_first" in content
    with open(path, "rb") as recording:
        piped = subprocess.run([helpers.MEMLEAK, "report", "-", "--json"], stdin=recording,
                               stdout=subprocess.PIPE, timeout=30, check=True)
    assert json.loads(piped.stdout)["kind"] == "trace"


def test_what_a_killed_run_leaves(bench):
    """Read up to the last whole report, which is said."""
    path = os.path.join(bench.directory, "run.ml")
    target = bench.target("steps")
    run = bench.memleak("-w", path, "-o", "0", "-p", target.pid, "0.2")
    run.wait_attached()
    target.tell()
    target.wait_event("first")
    size = os.path.getsize(path)
    helpers.wait_for(lambda: os.path.getsize(path) > size, helpers.START_S, "a report is recorded")
    wait_reports(run, 3)
    run.signal(signal.SIGKILL)
    run.wait()
    report = json.loads(replay(bench, "report", path, "--json"))
    assert sites(report)[0] == FIRST
    assert report["final"] is False
    assert "the recording ends early" in report["notes"][-1]
    assert "\n# the recording ends early: " in replay(bench, "report", path)


def test_marks(bench):
    """What came after a mark: live, in the report of the recording, as a difference."""
    path, run = record(bench, "run.ml", "--json", "--since-mark", mark=True)
    assert sites(run.final().document) == ((0, 0), SECOND)
    assert run.final()["notes"][0].startswith("since mark 1 at ")
    assert "the mark is not set yet" in run.reports()[0]["notes"][0]
    assert replay(bench, "report", path, "--json") == run.out().splitlines()[-1] + "\n"
    assert sites(json.loads(replay(bench, "report", path, "--json", "--at", "1")))[0] == FIRST

    # Without it the run shows all, and the recording knows what came after the mark.
    path, run = record(bench, "all.ml", "--json", mark=True)
    assert sites(run.final().document) == (FIRST, SECOND)
    since = json.loads(replay(bench, "report", path, "--json", "--since-mark"))
    assert sites(since) == ((0, 0), SECOND)
    difference = json.loads(replay(bench, "diff", path, "--json"))
    assert [site["change"] for site in difference["sites"]] == ["new"]
    assert difference["totals"]["growth_bytes"] == SECOND[0]
    status, _, err = bench.run("report", path, "--since-mark=2")
    assert status == USAGE and "the last one is number 1" in err


def test_marks_with_blocks(bench):
    """With single blocks, those that were allocated after the mark."""
    path, _ = record(bench, "run.ml", "--json", "-a", mark=True)
    since = json.loads(replay(bench, "report", path, "--json", "--since-mark=1"))
    assert sites(since) == ((0, 0), SECOND)
    assert [len(site["allocations"]) for site in since["sites"]] == [SECOND[1]]
    assert sites(json.loads(replay(bench, "report", path, "--json", "-z", "500"))) == (
        (0, 0), SECOND)


@pytest.fixture
def rebuilt(bench, programs):
    """steps.c as another compiler run makes it: other addresses, another build-id."""
    path = os.path.join(bench.directory, "rebuilt", "steps")
    os.mkdir(os.path.dirname(path))
    subprocess.run(["gcc", "-g", "-O1", "-w", "-Dunused=1", "-fno-omit-frame-pointer",
                    conftest.source("steps.c"), "-o", path], check=True, timeout=60,
                   stdin=subprocess.DEVNULL)
    programs.extra["steps-rebuilt"] = path
    yield "steps-rebuilt"
    del programs.extra["steps-rebuilt"]


def test_differences_across_builds(bench, rebuilt):
    before, _ = record(bench, "before.ml", "--json", steps=1)
    again, _ = record(bench, "again.ml", "--json", steps=2)
    other, _ = record(bench, "other.ml", "--json", steps=2, program=rebuilt)
    for after in (again, other):
        difference = json.loads(replay(bench, "diff", before, after, "--json"))
        assert difference["totals"]["same"] == 1
        assert [(site["change"], site["growth_bytes"], site["growth_count"])
                for site in difference["sites"]] == [("new", *SECOND)]
    text = replay(bench, "diff", other, before)
    assert "\t-%d bytes in -%d allocations from stack\n\t\tleak_second" % SECOND in text
    assert "→ gone: " in text
    # Still running, judged by too little: no leak.
    status, _, err = bench.run("diff", before, again, "--fail-on-leak")
    assert (status, err.splitlines()[-1].split()[2]) == (0, "verdict=ok")


def test_baseline(bench, rebuilt):
    """What a recording knows is left out, in a run and in a report."""
    known, _ = record(bench, "known.ml", steps=1)
    for program in ("steps", rebuilt):
        path, run = record(bench, "run.ml", "--baseline", known, program=program)
        report = last_report(run.out())
        assert "leak_first" not in report and "leak_second" in report
        assert "\n# left out by the baseline: %d bytes in %d blocks, 1 stack\n" % FIRST in report
        assert replay(bench, "report", path, "--baseline", known) == report
    status, _, err = bench.run("--baseline", "/dev/null", "--", "true")
    assert status == CANNOT and "--baseline: /dev/null: not a recording" in err


def test_leak_gate_of_differences(bench, programs):
    """Two recordings of commands."""
    path = [os.path.join(bench.directory, name) for name in ("a.ml", "b.ml")]
    for file, program in zip(path, ("without", "steps")):
        status, _, err = bench.run("-w", file, "--", programs[program])
        assert status == 0, err
    # The second one ended with blocks that it had not freed.
    status, _, err = bench.run("diff", *path, "--fail-on-leak")
    words = dict(word.split("=") for word in err.splitlines()[-1].split()[2:])
    assert (status, words["verdict"]) == (1, "leak")
    assert int(words["leaked_bytes"]) >= FIRST[0] + SECOND[0]


def test_bad_recordings(bench):
    path, _ = record(bench, "run.ml")
    with open(path, "rb") as recording:
        whole = recording.read()
    future = bytearray(whole)
    future[8] = 9
    for content, why in ((b"", "the file is empty"), (b"\x7fELF" + bytes(99), "not a recording"),
                         (whole[:9], "ends within its header"), (bytes(future), "damaged"),
                         (whole[:40], "no report in it"), (whole[:16] + b"{}" * 99, "no report")):
        bad = os.path.join(bench.directory, "bad.ml")
        with open(bad, "wb") as file:
            file.write(content)
        status, out, err = bench.run("report", bad)
        assert (status, out) == (CANNOT, "") and why in err, (content[:16], err)
        status, out, err = bench.run("diff", path, bad)
        assert (status, out) == (CANNOT, "") and why in err, (content[:16], err)
    for name in ("/no/such/file.ml", bench.directory):
        status, _, err = bench.run("report", name)
        assert status == CANNOT and name in err


def test_names_like_options(bench):
    """A recording may be called anything that ends in .ml."""
    target = bench.target("steps")
    subprocess.run([helpers.MEMLEAK, "-w", "--top.ml", "-p", str(target.pid), "0.2", "1"],
                   cwd=bench.directory, check=True, timeout=30, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for arguments in (["report", "--", "--top.ml"], ["report", "./--top.ml"],
                      ["diff", "--", "--top.ml", "--top.ml"]):
        subprocess.run([helpers.MEMLEAK, *arguments], cwd=bench.directory, check=True, timeout=30,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def test_nowhere_to_write(bench, programs):
    """Before anything is started when it is known; else the run goes on without the recording."""
    proof = os.path.join(bench.directory, "started")
    status, _, err = bench.run("-w", "/no/such/folder/run.ml", "--", "touch", proof)
    assert status == CANNOT and "/no/such/folder/run.ml" in err
    assert not os.path.exists(proof)

    full = os.path.join(bench.directory, "full.ml")
    os.symlink("/dev/full", full)
    status, _, err = bench.run("-w", full, "--", "touch", proof)
    assert status == CANNOT and "No space left" in err

    # Full only later: a limit on the size of files, which a write meets as EFBIG.
    path = os.path.join(bench.directory, "run.ml")
    limits = (4096, 4096)
    run = subprocess.run([helpers.MEMLEAK, "-w", path, "-o", "0", "0.1", "--",
                          programs["many_stacks"]], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=50,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    assert run.returncode == CANNOT, run.stderr
    assert "the recording ends here: " in run.stderr and "final report" in run.stdout
    # The first report of 4096 stacks takes more than that.
    status, _, err = bench.run("report", path)
    assert status == CANNOT and "no report in it: cut off at byte 16" in err
