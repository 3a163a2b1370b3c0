# SPDX-License-Identifier: BSD-2-Clause
"""Allocations made by Python code name the Python function, file and line of the moment."""
import glob
import os
import re
import shutil
import subprocess

import pytest

import helpers

LEAK = os.path.join(helpers.TARGETS, "leak.py")
BACKENDS = pytest.mark.parametrize("backend", ["bpf", "agent"])


def interpreters():
    """The CPythons of this machine that have the structures we read, one of each version."""
    found = {}
    paths = ["/usr/bin/python3"] + sorted(glob.glob("/root/.pyenv/versions/3.1[1-3].*/bin/python3"))
    for path in paths:
        if os.access(path, os.X_OK):
            version = subprocess.run([path, "-c", "import ctypes, sys; print(sys.version[:4])"],
                                     stdout=subprocess.PIPE, check=False).stdout.decode().strip()
            if version in ("3.11", "3.12", "3.13"):
                found.setdefault(version, path)
    return found


INTERPRETERS = interpreters()


@pytest.fixture
def python(programs):
    """trace(): a target like the compiled ones, run by the interpreter of a version."""
    if not INTERPRETERS:
        pytest.skip("no CPython 3.11, 3.12 or 3.13 with ctypes here")
    path = next(iter(INTERPRETERS.values()))
    programs.extra["python"] = path
    return path


def python_frames(site):
    return [frame for frame in site["frames"] if frame["kind"] == "python"]


def leaks_of(report, function, size):
    """Sites of blocks of @size whose innermost Python function is @function."""
    return [site for site in report.sites
            if site["bytes"] == site["count"] * size and python_frames(site)
            and helpers.names(python_frames(site)[0], function)]


def check(report, truth, is_complete=True):
    for function, said in truth.items():
        size = said["bytes"] // said["count"]
        sites = leaks_of(report, function, size)
        assert sum(site["count"] for site in sites) == said["count"], function
        for site in sites:
            frame = python_frames(site)[0]
            assert frame["symbol"] == function and frame["module"] == "python"
            assert frame["file"].endswith("leak.py") and frame["line"] == said["line"], function
            assert site["stack_end"] == "complete" or not is_complete, function


def names_of(report, function, size):
    return [frame["symbol"] for frame in python_frames(leaks_of(report, function, size)[0])]


@BACKENDS
@pytest.mark.parametrize("version", sorted(INTERPRETERS))
def test_functions_and_lines(bench, programs, version, backend):
    programs.extra["python" + version] = INTERPRETERS[version]
    truth, report, target = bench.trace("python" + version, LEAK, options=("--backend", backend))
    assert report["backend"] == backend
    check(report, truth)
    grown = [python_frames(site)[0]["line"] for site in report.sites_of("leak_list")
             if site["bytes"] > 400000]
    assert grown == [target.values()["list_line"]]
    assert names_of(report, "leak_in_generator", 777) == [
        "leak_in_generator", "consume", "main", "<module>"]
    assert names_of(report, "leak_in_callback", 1234) == [
        "leak_in_callback", "sort", "main", "<module>"]
    assert names_of(report, "leak_in_thread", 5555)[:2] == ["leak_in_thread", "Thread.run"]


@BACKENDS
def test_native_frames_stay_in_order(bench, python, backend):
    _, report, _ = bench.trace("python", LEAK, options=("--backend", backend))
    frames = leaks_of(report, "leak_in_callback", 1234)[0]["frames"]
    names = [frame["symbol"] for frame in frames if frame["symbol"]]
    order = [names.index(name) for name in
             ("leak_in_callback", "qsort_r", "sort", "main", "<module>", "Py_RunMain")]
    assert order == sorted(order)
    after = frames[[frame["symbol"] for frame in frames].index("leak_in_callback") + 1]
    assert after["symbol"] == "_PyEval_EvalFrameDefault" and after["kind"] == "native"


@BACKENDS
def test_text_leaves_the_loop_out(bench, python, backend):
    target = bench.target("python", LEAK)
    run = bench.memleak("--backend", backend, "-o", "0", "-T", "50", "-p", target.pid)
    run.wait_attached()
    truth = target.work()
    run.interrupt()
    line = truth["leak_strings"]["line"]
    assert re.search(r"^\t10000 bytes in 10 allocations from stack\n"
                     r"(\t\t.*\n)+?\t\tleak_strings leak\.py:%d \[python\]\n"
                     r"\t\tmain leak\.py:\d+ \[python\]\n"
                     r"\t\t<module> leak\.py:\d+ \[python\]\n" % line, run.out(), re.MULTILINE)
    assert "_PyEval_EvalFrameDefault" not in run.out()


@BACKENDS
def test_names_survive_the_program(bench, python, tmp_path, backend):
    """The code objects are gone when the last report is made."""
    end = tmp_path / "end"
    run = bench.memleak("--backend", backend, "--json", "-o", "0",
                        "-c", "%s %s %s" % (python, LEAK, end), "0.5")

    def documents(key):
        text = run.out()
        lines = map(helpers.json.loads, text[:text.rfind("\n") + 1].splitlines()[1:])
        return [line for line in lines if key in line]

    def is_named():
        return any(helpers.Report(report).sites_of("leak_in_thread")
                   for report in documents("schema")[-1:])
    helpers.wait_for(is_named, helpers.START_S, "a report has the leaks")
    end.touch()
    assert run.wait() == 0, run.err()
    # libffi may have been at work before it was looked at: then the native walk ends in it.
    check(helpers.Report(documents("schema")[-1]),
          {line["site"]: line for line in documents("site")}, is_complete=False)


def test_many_functions(bench, python):
    """More stacks with Python functions than the agent remembers: none of their calls is lost."""
    found = []
    for backend in "bpf", "agent":
        status, out, err = bench.run(
            "--backend", backend, "--json", "-o", "0", "60", "--", python,
            os.path.join(helpers.TARGETS, "functions.py"), seconds=60,
            env={**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
        assert status == 0, err
        found.append(helpers.json.loads(out.splitlines()[-1])["totals"])
    assert found[0] == found[1]
    assert found[0]["allocs"] > 300 * 20 * 3


def test_modules_loaded_while_stacks_are_new(bench, python):
    """An extension module's unwind tables are there from its first call on, although a Python that
    begins has thousands of new stacks to read the names of."""
    work = "import json\nfor _ in range(100): json.loads(json.dumps([[i] * 3 for i in range(100)]))"
    for backend in ("bpf", "agent") if helpers.waits_for_loader() else ("agent",):
        status, out, err = bench.run(
            "--backend", backend, "--json", "-o", "0", "60", "--", python, "-c", work, seconds=60,
            env={**os.environ, "PYTHONMALLOC": "malloc"})
        assert status == 0, err
        report = helpers.json.loads(out.splitlines()[-1])
        assert report["totals"]["allocs"] > 50000
        # The loader does not wait forever for a tool that gets no CPU time.
        assert report["caveats"].get("stacks_no_unwind_info", 0) < 1000, backend


def test_moves_to_the_agent(bench, python):
    """What was leaked by a line before the move and after it is one site."""
    target = bench.target("python", os.path.join(helpers.TARGETS, "hot.py"),
                          env={"PYTHONMALLOC": "malloc"})
    run = bench.attach(target.pid)
    target.tell()
    target.wait_event("leaked 1")
    helpers.wait_for(lambda: "from now on" in run.err(), 30, "memleak moves to the agent")
    for times in (2, 3):
        target.tell()
        target.wait_event("leaked %d" % times)
    run.interrupt()
    report = run.final()
    truth = target.sites()["leak_when_hot"]
    assert report["backend"] == "agent"
    leaks = [site for site in report.sites_of("leak_when_hot") if site["bytes"] % 4321 == 0]
    assert [site["count"] for site in leaks] == [truth["count"]]
    frame = python_frames(leaks[0])[0]
    assert frame["symbol"] == "leak_when_hot" and frame["line"] == truth["line"]


@BACKENDS
def test_in_a_container(bench, python, tmp_path, backend):
    """Another pid namespace and another root: only memory is read, no path and no thread id."""
    root = tmp_path / "root"
    for name in ("usr", "work"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to("usr/" + name)
    shutil.copy(LEAK, root / "work" / "leak.py")
    if not python.startswith("/usr/"):
        pytest.skip("the interpreter is not below /usr")
    script = 'mount --bind /usr "$1/usr" && exec chroot "$1" "$2" /work/leak.py'
    target = bench._keep(helpers.Target(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh",
         root, os.path.realpath(python)], bench.directory))
    with open("/proc/%d/task/%d/children" % (target.pid, target.pid), encoding="ascii") as pids:
        pid = int(pids.read().split()[0])
    run = bench.attach(pid, "--backend", backend)
    truth = target.work()
    run.interrupt()
    check(run.final(), truth)
