# SPDX-License-Identifier: BSD-2-Clause
"""Java stacks, compiled and interpreted: all of them to the end, with functions and lines."""
import glob
import os
import re
import shutil
import subprocess

import pytest

import helpers

SOURCE = os.path.join(helpers.TARGETS, "JavaLeak.java")
DEBIAN = "/usr/lib/jvm/java-17-openjdk-amd64"

MODES = {
    "compiled": ["-Xbatch"],
    "c1": ["-Xbatch", "-XX:TieredStopAtLevel=1", "-Dwarm=2000"],
    "interpreted": ["-Xint", "-Dwarm=100"],
    "one-heap": ["-Xbatch", "-XX:+UseSerialGC", "-XX:-SegmentedCodeCache"],
    "z": ["-Xbatch", "-XX:+UseZGC"],
    "frame-pointers": ["-Xbatch", "-XX:+PreserveFramePointer", "-XX:+UseParallelGC"],
}


def virtual_machines():
    """Debian's JVM, and the newest one of 21 or later with and without virtual threads."""
    def version(path):
        found = re.search(r"(\d+)", os.path.basename(path))
        return int(found.group(1)) if found else 0
    homes = [path for path in glob.glob("/usr/lib/jvm/*")
             if not os.path.islink(path) and os.access(path + "/bin/java", os.X_OK)]
    homes.sort(key=version)
    machines = [(DEBIAN, [])]
    if homes and version(homes[-1]) >= 21:
        machines += [(homes[-1], []), (homes[-1], ["virtual"])]
    return machines


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    directory = tmp_path_factory.mktemp("classes")
    subprocess.run(["%s/bin/javac" % DEBIAN, "--release", "17", "-d", directory, SOURCE], check=True,
                   stdin=subprocess.DEVNULL, timeout=60 * helpers.SLOWNESS)
    return directory


@pytest.fixture
def java(bench, programs, classes):
    """trace(): the report of a run of JavaLeak with these options."""
    programs.extra["java"] = "%s/bin/java" % DEBIAN

    def trace(*options, home=None, arguments=(), backend="bpf"):
        if home:
            programs.extra["java"] = home + "/bin/java"
        return bench.trace("java", "-XX:+PerfDisableSharedMem", *options, "-cp", classes,
                           "JavaLeak", *arguments,
                           options=["-T", "1000", "--backend", backend])
    return trace


def line_of(comment):
    with open(SOURCE, encoding="ascii") as source:
        for number, line in enumerate(source, 1):
            if line.endswith("// %s\n" % comment):
                return number
    raise AssertionError("no line of JavaLeak.java says %s" % comment)


def check_order(site, expected):
    """@expected: (function, line) from the inside out, in one piece."""
    frames = [(frame["symbol"], frame["line"]) for frame in site["frames"]
              if frame["kind"] == "java" and frame["symbol"].startswith("JavaLeak.")]
    assert frames[:len(expected)] == expected


def check_complete(report):
    """Of all allocations; caveats count what did not reach the end."""
    ends = sum(report["caveats"].get(name, 0) for name in
               ("stacks_fault", "stacks_no_unwind_info", "stacks_depth"))
    assert ends <= report["totals"]["allocs"] / 1000, report["caveats"]


def check(report):
    check_complete(report)
    streams = report.sites_of("JavaLeak.leakStreams")
    assert streams
    for site in streams:
        assert site["stack_end"] == "complete" and site["count"] == 101
        assert any(helpers.names(frame, "java.util.zip.Deflater.<init>") and
                   frame["file"] == "Deflater.java" and frame["line"] > 100
                   for frame in site["frames"])
        check_order(site, [("JavaLeak.makeStream", line_of("makeStream")),
                           ("JavaLeak.leakStreams", line_of("leakStreams")),
                           ("JavaLeak.work", line_of("work: streams"))])
    buffers = [site for site in report.sites_of("JavaLeak.leakBuffers")
               if site["bytes"] >= 23 * 54321]
    assert len(buffers) == 1 and buffers[0]["count"] == 23
    assert buffers[0]["stack_end"] == "complete"
    check_order(buffers[0], [("JavaLeak.makeBuffer", line_of("makeBuffer")),
                             ("JavaLeak.leakBuffers", line_of("leakBuffers")),
                             ("JavaLeak.work", line_of("work: buffers"))])
    for site in streams + buffers:
        frames = [frame for frame in site["frames"] if frame["kind"] in ("java", "jit")]
        assert all(frame["symbol"] for frame in frames)
        assert any(frame["symbol"] == "call_stub" for frame in frames)


@pytest.mark.parametrize("mode", MODES)
def test_functions_and_lines(java, mode):
    _, report, _ = java(*MODES[mode])
    check(report)
    inlined = [frame for site in report.sites_of("JavaLeak.leakStreams")
               for frame in site["frames"] if frame["inlined"]]
    assert bool(inlined) == (mode != "interpreted")


@pytest.mark.parametrize("mode", ["compiled", "interpreted"])
def test_from_inside(java, mode):
    _, report, _ = java(*MODES[mode], backend="agent")
    assert report["backend"] == "agent"
    check(report)


@pytest.mark.parametrize("home,arguments", virtual_machines())
def test_virtual_machines(java, home, arguments):
    _, report, _ = java(home=home, arguments=arguments)
    check(report)
    above = {frame["symbol"] for site in report.sites_of("JavaLeak.work")
             for frame in site["frames"]}
    assert ("java.lang.VirtualThread.run" in above) == bool(arguments)


def test_text(bench, programs, java, classes):
    target = bench.target("java", "-Xbatch", "-cp", classes, "JavaLeak")
    run = bench.memleak("-o", "0", "-T", "100", "-p", target.pid)
    run.wait_attached()
    target.work()
    run.interrupt()
    assert re.search(r"^\t\tjava\.util\.zip\.Deflater\.init \[java\]\n"
                     r"(\t\tjava\.util\.zip\.Deflater\.<init>.* Deflater\.java:\d+ \[java\]\n)+"
                     r"\t\tJavaLeak\.makeStream.* JavaLeak\.java:%d \[java\]\n"
                     r"\t\tJavaLeak\.leakStreams.* JavaLeak\.java:%d \[java\]\n"
                     % (line_of("makeStream"), line_of("leakStreams")), run.out(), re.MULTILINE)


def test_from_the_start(bench, classes):
    """Names are read while the program runs, and stacks reach the end, from its first class on."""
    run = bench.memleak("--json", "-o", "0", "-T", "100000", "-c",
                        "%s/bin/java -Dwarm=2000 -cp %s JavaLeak" % (DEBIAN, classes), "60")
    # Its stdin is at its end, so it does all without being told.
    assert run.wait(helpers.START_S * 2) == 0, run.err()
    text = run.out()
    report = helpers.Report(helpers.json.loads(
        [line for line in text.splitlines() if line.startswith('{"schema"')][-1]))
    check_complete(report)
    assert report.sites_of("JavaLeak.leakStreams") and report.sites_of("JavaLeak.main")


def test_in_a_container(bench, classes, tmp_path):
    """Another root and another pid namespace: only memory is read."""
    root = tmp_path / "root"
    for name in ("usr", "etc", "proc", "tmp"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to("usr/" + name)
    shutil.copytree(classes, root / "classes")
    script = ('mount --bind /usr "$1/usr" && mount --bind /etc "$1/etc" && '
              'mount -t proc proc "$1/proc" && '
              'exec chroot "$1" "$2" -Xbatch -cp /classes JavaLeak')
    target = bench._keep(helpers.Target(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh",
         root, "%s/bin/java" % DEBIAN], bench.directory))
    with open("/proc/%d/task/%d/children" % (target.pid, target.pid), encoding="ascii") as pids:
        pid = int(pids.read().split()[0])
    run = bench.attach(pid, "-T", "1000")
    target.work()
    run.interrupt()
    check(run.final())
