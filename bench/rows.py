# SPDX-License-Identifier: BSD-2-Clause
"""The programs whose cost is measured. A row starts its program any number of times, and its figure is the
CPU time of one unit of its work in a window of time.
"""
import collections
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time

import machine
from pairs import Window

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"

# name; key for --rows; ns of one of the units its figures are printed in; whether it is a real program.
Row = collections.namedtuple("Row", "key name start unit unit_ns real")


def end_group(process):
    """Ends what was started in a session of its own, children included."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def start(prefix, command, out, environment):
    """Starts a command, or a tool that starts it, in a session of its own."""
    return subprocess.Popen([*prefix, *command], stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                            start_new_session=True, env={**os.environ, **environment})


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return cmdline.read().rstrip(b"\0").split(b"\0")
    except OSError:
        return [b""]


def program_of(root, name, limit_s=10):
    """The process that runs @p name below @p root, which may be a tool's script."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        for pid in reversed(machine.family(root)):
            if name.encode() in command_line(pid):
                return pid
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not start")


class Program:
    """Runs for ever and prints, round for round, when it was and its CPU nanoseconds a unit of work."""

    def __init__(self, command, environment, cores, work, prefix=(), extra=None):
        self.log = f"{work}/rounds{time.monotonic_ns()}"
        with open(self.log, "wb") as log:
            self.process = start(prefix, [*command, "1000000000"], log, {**environment, **(extra or {})})
        self.pid = self.process.pid
        try:
            self._wait_for_rounds()
            self.pid = program_of(self.process.pid, command[-1])
            machine.pin(self.pid, cores)
        except BaseException:
            self.end()
            raise
        self.own = set(machine.family(self.process.pid))

    def _wait_for_rounds(self, limit_s=90):
        deadline = time.monotonic() + limit_s
        while self.rounds_done() < 2:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.process.args[0]} printed nothing")
            time.sleep(0.02)

    def rounds_done(self):
        with open(self.log, "rb") as log:
            return log.read().count(b"\n")

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def window(self, seconds, *others):
        """The median round of the next @p seconds, or of as long as three rounds take."""
        disturbance = machine.Disturbance(*self.own, *others)
        with open(self.log, "rb") as log:
            log.seek(0, os.SEEK_END)
            deadline = time.monotonic() + seconds
            text = b""
            # The first line may belong to a round that began before, the last one may be half a line.
            while time.monotonic() < deadline or text.count(b"\n") < 4:
                time.sleep(min(0.02, seconds))
                text += log.read()
                if self.process.poll() is not None:
                    raise RuntimeError(f"{self.process.args[0]} has ended")
        other = disturbance.end()
        return Window(statistics.median(float(line.split()[1]) for line in text.split(b"\n")[1:-1]), other)

    def end(self):
        end_group(self.process)
        os.unlink(self.log)


def free_port():
    """One that no server of an earlier run has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    """redis-server on a core of its own; a window is a load of so many requests from the other one."""

    def __init__(self, cores, requests, at_once, prefix=(), extra=None):
        self.requests, self.at_once = requests, at_once
        self.port = free_port()
        # hz: less is done besides what is asked for.
        command = ["redis-server", "--port", str(self.port), "--save", "", "--hz", "1"]
        self.process = start(prefix, command, subprocess.DEVNULL, extra or {})
        try:
            self._wait_for_answer()
            # Below valgrind it is the process itself, which still has valgrind's command line.
            self.pid = next((pid for pid in machine.family(self.process.pid)
                             if command_line(pid)[0].endswith(b"redis-server *:%d" % self.port)), self.process.pid)
            machine.pin(self.pid, cores)
        except BaseException:
            self.end()
            raise
        self.own = set(machine.family(self.process.pid))
        self.loads = 0
        self._load()

    def _wait_for_answer(self, limit_s=30):
        deadline = time.monotonic() + limit_s
        while subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True, check=False,
                             stdin=subprocess.DEVNULL).stdout != b"PONG\n":
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server does not answer")
            time.sleep(0.05)

    def rounds_done(self):
        return self.loads * self.requests

    def pause(self):
        """Without requests it hardly does anything."""

    def resume(self):
        pass

    def _load(self):
        subprocess.run(["redis-benchmark", "-p", str(self.port), "-n", str(self.requests), "-P", str(self.at_once),
                        "-t", "set", "-d", "100", "-r", "10000", "-q"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        self.loads += 1

    def window(self, seconds, *others):
        """CPU nanoseconds of the server a request, of one load or as many as fit in @p seconds."""
        disturbance = machine.Disturbance(*self.own, *others)
        deadline = time.monotonic() + seconds
        start_ns, loads = machine.cpu_ns(self.pid), self.loads
        while self.loads == loads or time.monotonic() < deadline:
            self._load()
        used_ns = machine.cpu_ns(self.pid) - start_ns
        return Window(used_ns / (self.loads - loads) / self.requests, disturbance.end())

    def end(self):
        end_group(self.process)


def build(work):
    subprocess.run(["gcc", "-O2", "-pthread", "-o", f"{work}/loop", f"{HERE}/loop.c"], check=True)
    subprocess.run(["gcc", "-O2", "-o", f"{work}/sqlite", f"{HERE}/sqlite_rounds.c", "-l:libsqlite3.so.0"], check=True)
    subprocess.run(["g++", "-O2", "-o", f"{work}/words", f"{HERE}/words.cc"], check=True)


def _program(work, command, environment=None, cores=None):
    return lambda **tool: Program(command, environment or {}, cores or machine.TARGET_CORES, work, **tool)


def rows(work):
    pair, a_round, request = ("ns a pair", 1), ("ms a round", 1e6), ("µs a request", 1e3)
    found = [
        Row("tight", "tight loop, 9 frames", _program(work, [f"{work}/loop", "tight"]), *pair, False),
        Row("deep", "25 frames without frame pointers", _program(work, [f"{work}/loop", "deep"]), *pair, False),
        Row("threads", "2 threads, 100 000 live blocks each",
            _program(work, [f"{work}/loop", "threads"], cores=set(machine.CORES)), *pair, False),
        Row("sqlite", "sqlite3 in memory", _program(work, [f"{work}/sqlite"]), *a_round, True),
        Row("sqlite-python", "sqlite3 from CPython", _program(work, [PYTHON, f"{HERE}/sqlite_rounds.py"]), *a_round,
            True),
        Row("cpython", "CPython, json, PYTHONMALLOC=malloc",
            _program(work, [PYTHON, f"{HERE}/json_rounds.py"], {"PYTHONMALLOC": "malloc"}), *a_round, True),
        Row("cpython-objects", "CPython, objects and dicts, PYTHONMALLOC=malloc",
            _program(work, [PYTHON, f"{HERE}/object_rounds.py"], {"PYTHONMALLOC": "malloc"}), *a_round, True),
        Row("words", "C++ maps of strings", _program(work, [f"{work}/words"]), *a_round, True),
    ]
    if shutil.which("redis-server"):
        found += [Row("redis", "redis-server under redis-benchmark",
                      lambda **tool: Redis(machine.TARGET_CORES, 20000, 1, **tool), *request, True),
                  Row("redis-8", "redis-server, 8 requests at once (-P 8)",
                      lambda **tool: Redis(machine.TARGET_CORES, 50000, 8, **tool), *request, True)]
    return found
