# SPDX-License-Identifier: BSD-2-Clause
"""The full-screen view, on a terminal of our own (pyte) that is looked at as a person would."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pyte
import pytest

import helpers

SLOWNESS = helpers.SLOWNESS


class Terminal:
    """A run of memleak on a terminal, its picture and what came behind it."""

    def __init__(self, *arguments, lines=24, columns=80, env=None):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, slave = pty.openpty()
        self.set_size(lines, columns)
        self.modes = termios.tcgetattr(slave)
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8",
                       **(env or {})}
        self.process = subprocess.Popen([helpers.MEMLEAK, *map(str, arguments)], stdin=slave,
                                        stdout=slave, stderr=slave, env=environment,
                                        start_new_session=True, preexec_fn=self._take_terminal)
        self.slave = slave
        helpers.remember(self.process.pid)

    @staticmethod
    def _take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def set_size(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, lines, columns):
        self.screen.resize(lines, columns)
        self.set_size(lines, columns)

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            self.raw += data
            self.stream.feed(data)

    def picture(self):
        self.read()
        return "\n".join(self.screen.display)

    def wait(self, pattern, seconds=helpers.START_S):
        """Waits until the picture has @pattern; returns the picture."""
        deadline = time.monotonic() + seconds * SLOWNESS
        while True:
            picture = self.picture()
            if re.search(pattern, picture):
                return picture
            assert time.monotonic() < deadline, "no %r in:\n%s" % (pattern, picture)
            assert self.process.poll() is None, "it ended (%s):\n%s" % (
                self.process.returncode, picture)
            time.sleep(0.02)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def end(self, seconds=helpers.END_S):
        """Waits for its end; returns (status, everything written after the view was closed)."""
        deadline = time.monotonic() + seconds * SLOWNESS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "still runs:\n" + self.picture()
            self.read()
            time.sleep(0.02)
        self.read()
        _, left, after = self.raw.rpartition(b"\x1b[?1049l")
        assert left, "the other screen was never left"
        return self.process.returncode, after.decode(errors="replace").replace("\r\n", "\n")

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def open_terminal():
    opened = []

    def start(*arguments, **kwargs):
        opened.append(Terminal(*arguments, **kwargs))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def live(open_terminal, bench, *options, program="ticker", **kwargs):
    target = bench.target(program)
    terminal = open_terminal("--live", "-o", "0", *options, "-p", target.pid, "0.2", **kwargs)
    terminal.wait("VERDICT")
    return target, terminal


def test_sites_and_quit(open_terminal, bench):
    target, terminal = live(open_terminal, bench, columns=120)
    picture = terminal.wait(r"leak_now_and_then ticker\.c:\d+")
    lines = picture.split("\n")
    assert "pid %d (ticker)" % target.pid in lines[0] and "bpf" in lines[0]
    assert re.search(r"\d+ B live in \d+ blocks|KiB live in", lines[1])
    assert lines[-1].startswith(" Enter stack")
    terminal.press("q")
    status, after = terminal.end()
    assert status == 0
    assert re.search(r"Top 10 stacks with outstanding allocations:", after)
    assert "leak_now_and_then+0x" in after and "# final report" in after
    assert termios.tcgetattr(terminal.slave) == terminal.modes
    assert not terminal.screen.cursor.hidden
    assert target.is_running()


def test_stack_page(open_terminal, bench):
    _, terminal = live(open_terminal, bench)
    terminal.wait("leak_now_and_then")
    terminal.press("/now_and\r")
    terminal.wait("filter: now_and")
    terminal.press("\r")
    picture = terminal.wait(r"Allocated from")
    assert re.search(r"0 leak_now_and_then\+0x[0-9a-f]+ ticker\.c:\d+ \[ticker\]", picture)
    assert re.search(r"1 main\+0x[0-9a-f]+ ticker\.c:\d+ \[ticker\]", picture)
    assert re.search(r"\(\d+ bytes\) live in \d+ blocks", picture)
    terminal.press("\x1b")
    terminal.wait("VERDICT")


def test_filter(open_terminal, bench):
    _, terminal = live(open_terminal, bench)
    terminal.wait("leak_now_and_then")
    terminal.press("/nothing_like_it")
    terminal.wait("filter: nothing_like_it_")
    picture = terminal.wait("no site matches")
    assert "leak_now_and_then" not in picture
    terminal.press("\x1b")
    terminal.wait("leak_now_and_then")


def test_sort(open_terminal, bench):
    _, terminal = live(open_terminal, bench, program="many_stacks")
    for name in ("bytes", "blocks", "growth", "verdict", "bytes"):
        terminal.wait("s sort: " + name)
        terminal.press("s")


def test_help_and_pause(open_terminal, bench):
    _, terminal = live(open_terminal, bench)
    terminal.press("?")
    terminal.wait("What makes the figures wrong")
    terminal.press("q")
    terminal.wait("VERDICT")
    terminal.press("p")
    terminal.wait("PAUSED")
    before = terminal.wait("leak_now_and_then|nothing outstanding").split("\n")[0]
    time.sleep(0.5)
    assert terminal.picture().split("\n")[0] == before
    terminal.press("p")
    terminal.wait(r"\d\d:\d\d:\d\d *\n")


@pytest.mark.parametrize("size", [(10, 40), (8, 200), (3, 10), (60, 250)])
def test_resize(open_terminal, bench, size):
    _, terminal = live(open_terminal, bench)
    terminal.resize(*size)
    if size[0] >= 8:
        terminal.wait("VERDICT[^~]*\n")
        assert len(terminal.screen.display) == size[0]
    else:
        terminal.wait("window to")
    terminal.resize(24, 80)
    terminal.wait("WHERE")
    terminal.press("q")
    assert terminal.end()[0] == 0


def test_interrupt_gives_the_terminal_back(open_terminal, bench):
    _, terminal = live(open_terminal, bench)
    terminal.press("\x03")
    status, after = terminal.end()
    assert status == 0 and "# final report" in after
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_crash_gives_the_terminal_back(open_terminal, bench):
    _, terminal = live(open_terminal, bench)
    os.kill(terminal.process.pid, signal.SIGSEGV)
    status, _ = terminal.end()
    assert status == -signal.SIGSEGV
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_target_ends(open_terminal, bench):
    target, terminal = live(open_terminal, bench)
    target.kill()
    status, after = terminal.end()
    assert status == 0 and "the target ended" in after


def test_command_is_off_the_terminal(open_terminal, bench):
    terminal = open_terminal("--live", "-o", "0", "0.2", "--", "sh", "-c",
                             "while :; do echo noise; sleep 0.05; done")
    terminal.wait("VERDICT")
    time.sleep(0.3)
    terminal.press("q")
    status, after = terminal.end()
    assert status == 0 and "noise" not in terminal.raw.decode(errors="replace"), after


def test_ascii_terminal(open_terminal, bench):
    _, terminal = live(open_terminal, bench, env={"LC_ALL": "C", "TERM": "vt100"})
    terminal.wait("leak_now_and_then")
    assert all(ord(c) < 128 for c in terminal.picture())
    terminal.press("q")
    terminal.process.wait(timeout=helpers.END_S * SLOWNESS)


@pytest.mark.parametrize("kind, says", [("dumb", "cannot move its cursor"),
                                        ("no-such-terminal", "not known"), ("", "TERM is not set")])
def test_poor_terminal(open_terminal, bench, kind, says):
    target = bench.target("ticker")
    terminal = open_terminal("--live", "-p", target.pid, env={"TERM": kind}, columns=200)
    assert terminal.process.wait(timeout=helpers.END_S * SLOWNESS) == 3
    assert says in terminal.picture()


def test_no_terminal(bench):
    target = bench.target("ticker")
    run = bench.memleak("--live", "-p", target.pid)
    assert run.wait() == 3
    assert "not a terminal" in run.err()


@pytest.mark.parametrize("options, env, has_colour", [
    ([], {}, True), (["--color", "never"], {}, False), ([], {"NO_COLOR": "1"}, False),
    (["--color", "always"], {"NO_COLOR": "1"}, True), ([], {"TERM": "dumb"}, False)])
def test_colours_of_the_text(open_terminal, bench, options, env, has_colour):
    target = bench.target("ticker")
    terminal = open_terminal(*options, "-p", target.pid, "0.2", "1", env=env)
    assert terminal.process.wait(timeout=helpers.END_S * SLOWNESS) == 0
    terminal.read()
    assert (b"\x1b[" in terminal.raw) == has_colour


def test_no_colours_in_a_pipe(bench):
    target = bench.target("ticker")
    run = bench.memleak("-p", target.pid, "0.2", "1")
    assert run.wait() == 0 and "\x1b" not in run.out()
