# SPDX-License-Identifier: BSD-2-Clause
"""Functions whose start cannot be patched are watched where other modules call them; what others
patched over ours stays theirs."""
import signal
import subprocess

import pytest

import helpers
from test_agent import AGENT, code, leftovers, state


def tables(pid, name):
    """What the mappings of a file without code hold: its global offset table is among it."""
    contents = {}
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps, \
            open("/proc/%d/mem" % pid, "rb") as memory:
        for line in maps:
            words = line.split()
            if len(words) > 5 and words[5].endswith("/" + name) and "x" not in words[1]:
                start, end = (int(word, 16) for word in words[0].split("-"))
                memory.seek(start)
                contents[start] = memory.read(end - start)
    return contents


def waits(pid):
    with open("/proc/%d/syscall" % pid, encoding="ascii") as text:
        return text.read().split()[0] == "0"


def start(bench, name, *arguments):
    target = bench.target(name, *arguments, env={"LD_PRELOAD": bench.programs["libshort.so"]})
    # Until read() is bound its own word may change.
    helpers.wait_for(lambda: waits(target.pid), helpers.START_S, "the target waits in read()")
    return target


def check(report, truth):
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function
    assert report["totals"]["untracked_frees"] == 0
    assert report["caveats"]["functions_by_imports"] >= 2


@pytest.mark.parametrize("name, arguments", [
    ("imports-lazy", ()), ("imports-lazy", ("bound",)), ("imports-now", ()), ("imports-no-plt", ()),
])
def test_watched_by_imports(bench, name, arguments):
    target = start(bench, name, *arguments)
    before = state(target.pid), tables(target.pid, name)
    run = bench.attach(target.pid, *AGENT)
    assert "malloc is traced only where other modules call it" in run.err()
    assert tables(target.pid, name) != before[1]
    run.interrupt()
    assert (state(target.pid), tables(target.pid, name)) == before
    run = bench.attach(target.pid, *AGENT)
    truth = target.work()
    run.interrupt()
    report = run.final()
    check(report, truth)
    # Bound by then or not: the loader finds what it would have found.
    assert not leftovers(target.pid)
    assert target.finish() == 0


def test_killed_with_words_patched(bench):
    target = start(bench, "imports-now")
    before = state(target.pid), tables(target.pid, "imports-now")
    run = bench.memleak("--json", *AGENT, "-p", target.pid, "5")
    run.wait_attached()
    run.process.kill()
    run.process.wait()
    assert tables(target.pid, "imports-now") != before[1]
    status, out, _ = bench.run("doctor", "--repair", "-p", target.pid)
    assert status == 0 and "took out" in out
    assert (state(target.pid), tables(target.pid, "imports-now")) == before
    target.work()
    assert target.finish() == 0


def test_static_program_has_no_imports(bench):
    target = bench.target("imports-static")
    status, _, err = bench.run(*AGENT, "-p", target.pid, "1", "1")
    assert status == 3 and "neither at its start nor where it is called from" in err
    target.work()
    assert target.finish() == 0


def test_foreign_patch_stays(bench):
    """A breakpoint set over our patch is its debugger's, as are the bytes it will write back."""
    target = bench.target("allocators")
    before = code(target.pid)
    run = bench.attach(target.pid, *AGENT)
    after = code(target.pid)
    names = subprocess.run(["nm", "-D", "/lib/x86_64-linux-gnu/libc.so.6"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    offset = next(int(line.split()[0], 16) for line in names.splitlines()
                  if line.split()[-1].split("@")[0] == "pvalloc")
    with open("/proc/%d/maps" % target.pid, encoding="ascii", errors="replace") as maps:
        base = next(int(line.split("-")[0], 16) for line in maps if "/libc.so.6" in line)
    span = next(span for span in before if int(span.split("-")[0], 16) <= base + offset <
                int(span.split("-")[1], 16))
    first = base + offset - int(span.split("-")[0], 16)
    patch = next(i for i in range(first, first + 16) if before[span][i] != after[span][i])
    address = int(span.split("-")[0], 16) + patch

    def byte(value=None):
        with open("/proc/%d/mem" % target.pid, "r+b", buffering=0) as memory:
            memory.seek(address)
            if value is None:
                return memory.read(1)
            return memory.write(value)

    ours = byte()
    byte(b"\xcc")
    run.signal(signal.SIGINT)
    assert run.wait() == 0
    assert byte() == b"\xcc"
    assert "something else patched" in run.err()
    byte(ours)  # the debugger leaves
    target.work()
    run = bench.attach(target.pid, *AGENT)
    run.interrupt()
    assert code(target.pid) == before
    assert not leftovers(target.pid)
    assert target.finish() == 0
