# SPDX-License-Identifier: BSD-2-Clause
"""What the integration tests are made of: targets that tell their own truth, and runs of memleak.

Nothing here waits without a limit, and no child holds the test's own stdin, stdout or stderr.
"""
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGETS = os.path.join(ROOT, "tests", "targets")
MEMLEAK = os.path.abspath(os.environ.get("MEMLEAK", os.path.join(ROOT, "build", "memleak")))
# All limits on time are this many times longer: for machines that QEMU interprets.
SLOWNESS = int(os.environ.get("MEMLEAK_TEST_SLOWNESS", "1"))
START_S = 15  # until a program is ready or a tool has attached
END_S = 15  # until something asked to end has ended


def start_time(pid):
    """The start time of a process in ticks: with the pid it names the process for good."""
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[19]


def cpu_ticks(pid):
    """CPU time of a process, 100 a second."""
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))


def remember(pid):
    """Tells the test runner of a process, should the tests themselves be killed."""
    path = os.environ.get("MEMLEAK_TEST_PIDS")
    if path:
        with contextlib.suppress(OSError), open(path, "a", encoding="ascii") as pids:
            pids.write("%d %s\n" % (pid, start_time(pid)))


def wait_for(condition, seconds, what):
    """Polls until @condition is true (and returns its value); fails the test after @seconds."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %s s: %s" % (seconds, what))
        time.sleep(0.02)


def wait_worked(pid, ticks=5):
    """Waits until a busy process has had some CPU time since now."""
    wanted = cpu_ticks(pid) + ticks
    wait_for(lambda: cpu_ticks(pid) >= wanted, START_S, "process %d works" % pid)


class Program:
    """A process of ours with its output in files below @directory."""

    def __init__(self, argv, directory, name, stdin=subprocess.DEVNULL, env=None, stdout=None):
        self.argv = [str(word) for word in argv]
        self.out_path = os.path.join(directory, name + ".out")
        self.err_path = os.path.join(directory, name + ".err")
        environment = dict(os.environ, **(env or {}))
        environment.pop("MEMLEAK_TEST_RESULTS", None)
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(self.argv, stdin=stdin, stdout=stdout or out,
                                            stderr=err, env=environment, cwd=directory,
                                            start_new_session=True)
        self.pid = self.process.pid
        remember(self.pid)

    @staticmethod
    def _read(path):
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def out(self):
        return self._read(self.out_path)

    def err(self):
        return self._read(self.err_path)

    def is_running(self):
        return self.process.poll() is None

    def wait_lines(self, count, seconds=START_S):
        """Waits until it has said @count more lines: it worked on since now."""
        wanted = self.out().count("\n") + count

        def has_said():
            assert self.is_running(), "%s ended with %s: %s" % (
                self.argv, self.process.returncode, self.err())
            return self.out().count("\n") >= wanted
        wait_for(has_said, seconds, "%s says %d more lines" % (self.argv[0], count))

    def wait(self, seconds=END_S):
        """The exit status (negative: the signal)."""
        try:
            return self.process.wait(timeout=seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            state = self._state()
            self.kill()
            raise AssertionError("%s still runs after %s s (%s); stderr: %s" % (
                " ".join(self.argv), seconds, state, self.err()[-2000:])) from None

    def _state(self):
        with contextlib.suppress(OSError):
            with open("/proc/%d/wchan" % self.pid, encoding="ascii") as wchan:
                return "waits in " + wchan.read()
        return "state unknown"

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends it and what it left in its process group; gives up on what cannot be killed."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


class Target(Program):
    """A program of tests/targets: see truth.h for what it says and waits for."""

    def __init__(self, argv, directory, name="target", env=None):
        super().__init__(argv, directory, name, stdin=subprocess.PIPE, env=env)
        self.wait_event("ready")

    def lines(self):
        """What it has said so far, complete lines only."""
        text = self.out()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def wait_event(self, event, seconds=START_S):
        def has_said():
            if any(line.get("event") == event for line in self.lines()):
                return True
            assert self.is_running(), "%s ended with %s before it said %s: %s" % (
                self.argv, self.process.returncode, event, self.err())
            return False
        wait_for(has_said, seconds, "%s says %s" % (self.argv[0], event))

    def tell(self):
        """Lets it go on to its next step."""
        os.write(self.process.stdin.fileno(), b"\n")

    def work(self, seconds=START_S):
        """Lets it do its work and returns its sites: {function: {line, bytes, count, pid}}."""
        self.tell()
        self.wait_event("done", seconds)
        return self.sites()

    def sites(self):
        return {line["site"]: line for line in self.lines() if "site" in line}

    def values(self):
        return {line["value"]: line["is"] for line in self.lines() if "value" in line}

    def finish(self):
        self.tell()
        return self.wait()


class Report:
    """One JSON report of kind trace."""

    def __init__(self, document):
        self.document = document

    def __getitem__(self, key):
        return self.document[key]

    def get(self, key, otherwise=None):
        return self.document.get(key, otherwise)

    @property
    def sites(self):
        return self.document["sites"]

    def sites_of(self, function):
        """Sites with @function (without its arguments and scope) anywhere on the stack."""
        return [site for site in self.sites
                if any(names(frame, function) for frame in site["frames"])]

    def site(self, function):
        """(bytes, count) over all sites below @function."""
        sites = self.sites_of(function)
        return sum(site["bytes"] for site in sites), sum(site["count"] for site in sites)

    def line(self, function):
        """The line in the frame of @function, of its first site."""
        for site in self.sites_of(function):
            for frame in site["frames"]:
                if names(frame, function):
                    return frame["line"]
        return None

    def check_totals(self):
        """Totals must be the sum of the sites."""
        totals = self.document["totals"]
        assert totals["outstanding_bytes"] == sum(site["bytes"] for site in self.sites)
        assert totals["outstanding_count"] == sum(site["count"] for site in self.sites)
        assert totals["allocs"] >= totals["outstanding_count"]


def names(frame, function):
    symbol = frame.get("symbol") or ""
    return re.search(r"(^|[\s:])%s($|[<(.\[@])" % re.escape(function), symbol) is not None


class Memleak(Program):
    """A run of memleak. With --json its reports are parsed."""

    def __init__(self, arguments, directory, name="memleak", **kwargs):
        super().__init__([MEMLEAK, *arguments], directory, name, **kwargs)

    def lines(self):
        """All JSON lines so far: its own, and those of a command it has started."""
        text = self.out()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()
                if line.startswith("{")]

    def reports(self):
        return [Report(line) for line in self.lines() if "schema" in line]

    def let_command_work(self):
        """Lets the command, a target with a pipe for its stdin, go on from "ready" once memleak has
        looked at all that it has loaded: the report that is given back was begun since."""
        wait_for(lambda: any(line.get("event") == "ready" for line in self.lines()), START_S,
                 "the command is ready")
        seen = len(self.reports())
        wait_for(lambda: len(self.reports()) >= seen + 2, START_S, "two more reports")
        report = self.reports()[-1]
        os.write(self.process.stdin.fileno(), b"\n\n")
        return report

    def wait_report(self, condition, seconds=START_S):
        """Waits for a report that fulfils @condition."""
        def is_there():
            assert self.is_running(), "memleak ended with %s: %s" % (
                self.process.returncode, self.err())
            return any(condition(report) for report in self.reports()[-1:])
        wait_for(is_there, seconds, "memleak makes a report as it is waited for")

    def final(self):
        reports = self.reports()
        assert reports, "no report at all; stderr: %s" % self.err()
        assert reports[-1]["final"] is True, "the last report does not say that it is the last"
        return reports[-1]

    def wait_attached(self, seconds=START_S):
        """Waits for the line that says that from here on everything is traced."""
        def has_attached():
            if "Attaching to " in self.out() + self.err():
                return True
            assert self.is_running(), "memleak ended with %s before it attached: %s" % (
                self.process.returncode, self.err())
            return False
        wait_for(has_attached, seconds, "memleak %s attaches" % " ".join(self.argv[1:]))

    def interrupt(self, number=signal.SIGINT):
        """Asks it to end; it must, with status 0."""
        self.signal(number)
        status = self.wait()
        assert status == 0, "memleak ended with %s: %s" % (status, self.err())


def run_memleak(arguments, directory, seconds=20, **kwargs):
    """Runs memleak to its end: (status, stdout, stderr)."""
    run = Memleak(arguments, directory, **kwargs)
    try:
        status = run.wait(seconds)
        return status, run.out(), run.err()
    finally:
        run.kill()


def waits_for_loader():
    """Whether the kernel has the links with which the dynamic loader waits for memleak (6.6)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(re.match(r"\d+", minor).group())) >= (6, 6)


def read_some(descriptor, seconds):
    """What can be read from @descriptor within @seconds."""
    ready, _, _ = select.select([descriptor], [], [], seconds)
    return os.read(descriptor, 65536) if ready else b""
