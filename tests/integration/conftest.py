# SPDX-License-Identifier: BSD-2-Clause
"""Limits, results and fixtures for all integration tests."""
import concurrent.futures
import contextlib
import faulthandler
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

import helpers

TEST_LIMIT_S = 60
BUILD_LIMIT_S = 300  # of all test programs
FEW_TESTS = 150  # need few of them


class TookTooLong(Exception):
    """A test ran over its limit."""


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): time limit of a test, %d by default"
                            % TEST_LIMIT_S)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Each test, with its fixtures, has a limit: an exception first, the end of pytest after."""
    marker = item.get_closest_marker("limit")
    limit_s = (marker.args[0] if marker else TEST_LIMIT_S) * helpers.SLOWNESS

    note_running(item.nodeid)
    begin_limit(limit_s)
    yield
    end_limit()


def begin_limit(limit_s):
    def on_alarm(number, frame):
        raise TookTooLong("over %d s" % limit_s)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(limit_s)
    faulthandler.dump_traceback_later(limit_s + 30, exit=True, file=sys.__stderr__)


def end_limit():
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)


def note_running(nodeid):
    path = os.environ.get("MEMLEAK_TEST_RESULTS")
    if path:
        with open(path + ".running", "w", encoding="utf-8") as running:
            running.write(nodeid + "\n")


def pytest_runtest_logreport(report):
    """One line a test for the runner, written at once: it survives the end of pytest."""
    path = os.environ.get("MEMLEAK_TEST_RESULTS")
    if not path or (report.when != "call" and report.outcome == "passed"):
        return
    with open(path, "a", encoding="utf-8") as results:
        results.write("%s %s\n" % (report.outcome, report.nodeid))


GLIBC = ["gcc", "-std=gnu11", "-O2", "-g", "-fomit-frame-pointer", "-pthread", "-w"]
GXX = ["g++", "-std=c++17", "-O2", "-g", "-fomit-frame-pointer", "-w"]
MUSL = ["musl-gcc", "-std=gnu11", "-O2", "-g", "-fomit-frame-pointer", "-w"]


def source(name):
    return os.path.join(helpers.TARGETS, name)


def builds():
    """{name: compiler command without -o NAME}."""
    commands = {}
    for file in sorted(os.listdir(helpers.TARGETS)):
        name, extension = os.path.splitext(file)
        if extension == ".c" and not name.startswith("lib"):
            commands[name] = GLIBC + [source(file), "-ldl"]
    # What it writes over is described there.
    commands["scribbler"] += ["-I", os.path.join(helpers.ROOT, "src")]
    commands["libleaky.so"] = GLIBC + ["-shared", "-fPIC", source("libleaky.c")]
    short = GLIBC + ["-fno-builtin"]
    commands["libshort.so"] = short + ["-shared", "-fPIC", source("libshort.c")]
    commands["libpool.so"] = short + ["-shared", "-fPIC", source("libpool.c")]
    for name, options in (("lazy", ["-Wl,-z,lazy"]), ("now", ["-Wl,-z,relro,-z,now"]),
                          ("no-plt", ["-fno-plt"])):
        commands["imports-" + name] = short + options + [source("imports.c")]
    commands["imports-static"] = short + ["-static", "-Wl,--allow-multiple-definition",
                                          source("imports.c"), source("libshort.c")]
    commands["new_delete"] = GXX + [source("new_delete.cc")]
    for suffix, library in (("", []), ("-mimalloc", ["-Wl,--no-as-needed", "-lmimalloc"]),
                            ("-jemalloc", ["-Wl,--no-as-needed", "-ljemalloc"]),
                            ("-tcmalloc", ["-ltcmalloc_minimal"])):
        commands["operators" + suffix] = GXX + [source("operators.cc")] + library
    for suffix, library in (("", []), ("-jemalloc", ["-ljemalloc"]),
                            ("-tcmalloc", ["-ltcmalloc_minimal"])):
        commands["throwing" + suffix] = ["g++", "-std=c++17", "-O2", "-fno-builtin", "-w",
                                         source("throwing.cc")] + library
    commands["stale-static"] = GLIBC + ["-static", source("stale.c")]
    commands["stale-musl"] = MUSL + [source("stale.c")]
    for name in ("tcmalloc_minimal", "mimalloc", "jemalloc"):
        commands["lost-" + name] = GLIBC + ["-fno-builtin", source("lost.c"),
                                            "-Wl,--no-as-needed", "-l" + name]
    commands["lost_threads-static"] = GLIBC + ["-static", source("lost_threads.c")]
    commands["lost_threads-musl"] = MUSL + [source("lost_threads.c")]
    for name in ("allocators", "resized"):
        file = source(name + ".c")
        commands[name + "-static"] = GLIBC + ["-static", file]
        commands[name + "-musl"] = MUSL + [file]
        commands[name + "-musl-static"] = MUSL + ["-static", file]
        commands[name + "-jemalloc"] = GLIBC + [file, "-ljemalloc"]
        commands[name + "-tcmalloc"] = GLIBC + ["-fno-builtin", file, "-ltcmalloc_minimal"]
        commands[name + "-mimalloc"] = GLIBC + [file, "-lmimalloc"]
    commands["without"] = ["gcc", "-std=gnu11", "-O2", source("without.c")]
    commands["app"] = ["gcc", "-g", "-O0", "-pthread",
                       os.path.join(helpers.ROOT, "examples", "app.c")]
    commands["verdicts"] = ["g++", "-std=c++17", "-O1", "-g", "-pthread",
                            os.path.join(helpers.ROOT, "bench", "verdict", "programs.cc")]
    commands["app_fixed"] = ["gcc", "-g", "-O0", "-pthread",
                             os.path.join(helpers.ROOT, "examples", "app_fixed.c")]
    return commands


def compile_one(directory, name, command):
    return subprocess.run(command + ["-o", os.path.join(directory, name)], timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


class Programs:
    """The built targets by name. A target that could not be built fails the test that uses it."""

    def __init__(self, directory):
        self.directory = os.environ.get("MEMLEAK_TEST_PROGRAMS", directory)
        self.extra = {}  # made by tests: name -> path
        # Else they were built before, on another machine.
        self.commands = builds() if self.directory == directory else {}
        self.results = {}

    def build_all(self):
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(self.build, self.commands))

    def build(self, name):
        if name not in self.results:
            self.results[name] = compile_one(self.directory, name, self.commands[name])
        return self.results[name]

    def __getitem__(self, name):
        if name in self.extra:
            return self.extra[name]
        if self.commands:
            result = self.build(name)
            assert result.returncode == 0, "%s was not built: %s" % (name, result.stdout)
        return os.path.join(self.directory, name)


@pytest.fixture(scope="session")
def programs(tmp_path_factory, request):
    """Built once: when all tests run before them, by two compilers; else each when it is needed."""
    programs = Programs(str(tmp_path_factory.mktemp("targets")))
    if request.session.testscollected > FEW_TESTS:
        begin_limit(BUILD_LIMIT_S * helpers.SLOWNESS)
        programs.build_all()
        begin_limit(TEST_LIMIT_S * helpers.SLOWNESS)
    return programs


@pytest.fixture(autouse=True, scope="session")
def before_others():
    """What else the machine does shall not decide whether memleak is in time: a loader, for one,
    waits for it no longer than 250 ms (src/bpf/loader.bpf.h)."""
    with contextlib.suppress(PermissionError):
        os.nice(-10)


@pytest.fixture(autouse=True, scope="session")
def memleak_is_built():
    assert os.access(helpers.MEMLEAK, os.X_OK), "%s is missing: run make" % helpers.MEMLEAK
    assert os.geteuid() == 0, "these tests trace processes: they need root"


class Bench:
    """What a test starts goes through this; everything is ended at the test's end."""

    def __init__(self, directory, programs):
        self.directory = directory
        self.programs = programs
        self.started = []

    def _keep(self, program):
        self.started.append(program)
        return program

    def _name(self, kind):
        return "%s-%d" % (kind, len(self.started))

    def target(self, name, *arguments, env=None):
        return self._keep(helpers.Target([self.programs[name], *arguments], self.directory,
                                         self._name(name), env=env))

    def program(self, argv, **kwargs):
        return self._keep(helpers.Program(argv, self.directory, self._name("program"), **kwargs))

    def memleak(self, *arguments, **kwargs):
        return self._keep(helpers.Memleak([str(word) for word in arguments], self.directory,
                                          self._name("memleak"), **kwargs))

    def attach(self, pid, *options, interval="5"):
        """memleak --json with every block of any age, attached."""
        run = self.memleak("--json", "-o", "0", *options, "-p", pid, interval)
        run.wait_attached()
        return run

    def trace(self, name, *arguments, options=(), env=None, seconds=helpers.START_S):
        """Attaches to target @name, lets it work: (its truth, the final report, the target)."""
        target = self.target(name, *arguments, env=env)
        run = self.attach(target.pid, *options)
        truth = target.work(seconds)
        run.interrupt()
        report = run.final()
        # Shown when the test fails.
        print("memleak said: %s\n%s\n%s" % (run.err(), report["totals"], report["caveats"]))
        report.check_totals()
        return truth, report, target

    def run(self, *arguments, seconds=20, **kwargs):
        return helpers.run_memleak([str(word) for word in arguments], self.directory,
                                   seconds=seconds, name=self._name("memleak"), **kwargs)

    def gate(self, *words, options=()):
        """memleak --fail-on-leak -- @words: (status, the words of its last line, its reports)."""
        status, out, err = self.run("--fail-on-leak", *options, "--", *words)
        last = err.splitlines()[-1].split()
        assert last[:2] == ["#", "memleak:"], err
        return status, dict(word.split("=") for word in last[2:]), out

    @staticmethod
    def pause(seconds):
        time.sleep(seconds)

    def close(self):
        for program in reversed(self.started):
            program.kill()


@pytest.fixture
def bench(tmp_path, programs):
    bench = Bench(str(tmp_path), programs)
    yield bench
    bench.close()
    shutil.rmtree(tmp_path, ignore_errors=True)
