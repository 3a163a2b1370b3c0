# SPDX-License-Identifier: BSD-2-Clause
"""Targets whose files the host cannot see by their names."""
import os
import re
import shutil
import subprocess

import pytest

import helpers

CONTAINER = os.path.join(helpers.ROOT, "examples", "run_in_container.sh")


@pytest.fixture
def container(bench):
    """start(program, argument…): the host pid of /app in a container of its own."""
    def start(program, *arguments):
        shell = bench.program([CONTAINER, program, *arguments])

        def pid():
            assert shell.is_running(), shell.err()
            return re.search(r"^host pid (\d+)$", shell.out(), re.MULTILINE)
        return int(helpers.wait_for(pid, helpers.START_S, "the container runs").group(1))
    return start


def frames_of(report, function):
    return report.sites_of(function)[0]["frames"]


def test_example_in_container(bench, container):
    pid = container(bench.programs["app"])
    assert not os.path.exists("/app")
    run = bench.attach(pid, interval="0.2")
    run.wait_report(lambda report: report.site("fibonacci")[1] >= 2)
    run.interrupt()
    report = run.final()
    report.check_totals()
    bytes_, count = report.site("fibonacci")
    assert count >= 2 and bytes_ == count * 8192
    frames = frames_of(report, "fibonacci")
    assert [frame["symbol"] for frame in frames[:2]] == ["fibonacci", "child"]
    assert frames[0]["file"].endswith("app.c") and frames[0]["module"] == "app"
    with open(os.path.join(helpers.ROOT, "examples", "app.c"), encoding="ascii") as source:
        assert "calloc" in source.readlines()[frames[0]["line"] - 1]
    site = report.sites_of("fibonacci")[0]
    assert site["stack_end"] == "complete"
    assert any(frame["module"].startswith("libc") for frame in frames), "its own libc's frames"


def test_example_as_text(bench, container):
    """The layout everybody knows from bcc's memleak."""
    pid = container(bench.programs["app"])
    status, out, err = bench.run("-a", "-p", pid, "3", "1")
    assert status == 0, err
    assert re.search(r"^Attaching to pid %d, Ctrl\+C to quit\.$" % pid, out, re.MULTILINE)
    assert re.search(r"^\taddr = [0-9a-f]+ size = 8192\n"
                     r"(\taddr = [0-9a-f]+ size = 8192\n)*"
                     r"\t\d+ bytes in \d+ allocations from stack\n"
                     r"\t\tfibonacci\+0x[0-9a-f]+ app\.c:\d+ \[app\]\n"
                     r"\t\tchild\+0x[0-9a-f]+ app\.c:\d+ \[app\]\n"
                     r"\t\tstart_thread\+0x[0-9a-f]+( \S+:\d+)? \[libc\.so\.6\]$", out, re.MULTILINE), out


def test_static_program_in_container(bench, container):
    subprocess.run(["gcc", "-g", "-O0", "-static", "-pthread", "-w",
                    os.path.join(helpers.ROOT, "examples", "app.c"),
                    "-o", os.path.join(bench.directory, "static-app")],
                   check=True, timeout=60, stdin=subprocess.DEVNULL)
    run = bench.attach(container(os.path.join(bench.directory, "static-app")), interval="0.2")
    run.wait_report(lambda report: report.site("fibonacci")[1] >= 1)
    run.interrupt()
    bytes_, count = run.final().site("fibonacci")
    assert count >= 1 and bytes_ == count * 8192


def test_chroot(bench):
    """A changed root in the host's own mount namespace: paths in maps are the host's."""
    root = os.path.join(bench.directory, "root")
    os.makedirs(os.path.join(root, "lib64"))
    program = bench.programs["app"]
    shutil.copy(program, os.path.join(root, "app"))
    libraries = subprocess.run(["ldd", program], check=True, timeout=20, capture_output=True,
                               text=True, stdin=subprocess.DEVNULL).stdout
    for library in re.findall(r"(/\S+)", libraries):
        os.makedirs(root + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, root + library)
    target = bench.program(["chroot", root, "/app"])
    helpers.wait_for(lambda: target.out(), helpers.START_S, "the target runs")
    run = bench.attach(target.pid, interval="0.2")
    run.wait_report(lambda report: report.site("fibonacci")[1] >= 1)
    run.interrupt()
    assert run.final().site("fibonacci")[1] >= 1
    assert frames_of(run.final(), "fibonacci")[0]["file"].endswith("app.c")


def test_deleted_binary(bench, tmp_path):
    """The program's file was replaced since it started, as upgrades do."""
    copy = tmp_path / "app"
    shutil.copy(bench.programs["app"], copy)
    target = bench.program([copy])
    helpers.wait_for(lambda: target.out(), helpers.START_S, "the target runs")
    copy.unlink()
    copy.write_bytes(b"something else")
    run = bench.attach(target.pid, interval="0.2")
    run.wait_report(lambda report: report.site("fibonacci")[1] >= 1)
    run.interrupt()
    frames = frames_of(run.final(), "fibonacci")
    assert frames[0]["symbol"] == "fibonacci" and frames[0]["file"].endswith("app.c")


def test_container_is_named(bench, container):
    """The target member carries the pid the host knows."""
    pid = container(bench.programs["app"])
    run = bench.attach(pid)
    run.interrupt()
    assert run.final()["target"]["pid"] == pid
    assert run.final()["target"]["comm"] == "app"


@pytest.fixture
def cgroup():
    """A cgroup named as Docker names that of a container: (its directory, the container's id)."""
    hierarchy = next((path for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids",
                                        "/sys/fs/cgroup")
                      if os.path.exists(os.path.join(path, "cgroup.procs"))), None)
    assert hierarchy, "no cgroup hierarchy is mounted"
    container_id = "%064x" % os.getpid()
    directory = os.path.join(hierarchy, "docker-%s.scope" % container_id)
    os.mkdir(directory)
    yield directory, container_id
    helpers.wait_for(lambda: not open(os.path.join(directory, "cgroup.procs"), encoding="ascii")
                     .read().strip(), helpers.END_S, "the cgroup is empty")
    os.rmdir(directory)


def test_container_by_id(bench, cgroup):
    """--container takes every process in the container's cgroup, and no other."""
    directory, container_id = cgroup
    inside = [bench.target("big") for _ in range(2)]
    outside = bench.target("big")
    for target in inside:
        with open(os.path.join(directory, "cgroup.procs"), "w", encoding="ascii") as procs:
            procs.write(str(target.pid))
    run = bench.memleak("--json", "-o", "0", "--container", container_id, "5")
    run.wait_attached()
    for target in inside + [outside]:
        target.work()
    run.interrupt()
    report = run.final()
    report.check_totals()
    assert {site["pid"] for site in report.sites_of("leak_big")} == {t.pid for t in inside}
    assert report.site("leak_big") == (2 * 10485760, 20)
    for target in inside + [outside]:
        target.finish()


def opened_by(run, pid):
    """Whether memleak holds a pidfd of process @pid: it has noticed it."""
    folder = "/proc/%d/fdinfo" % run.pid
    for name in os.listdir(folder):
        try:
            with open(os.path.join(folder, name), encoding="ascii") as info:
                if re.search(r"^Pid:\s+%d$" % pid, info.read(), re.MULTILINE):
                    return True
        except OSError:
            continue
    return False


def test_process_that_joins_a_container(bench, cgroup):
    """It is noticed long before the next report, put into the cgroup only after its start."""
    directory, container_id = cgroup
    first = bench.target("big")
    outside = bench.program([bench.programs["app"]])

    def join(pid):
        with open(os.path.join(directory, "cgroup.procs"), "w", encoding="ascii") as procs:
            procs.write(str(pid))
    join(first.pid)
    run = bench.memleak("--json", "-o", "0", "--container", container_id[:12], "300")
    run.wait_attached()
    young = bench.program([bench.programs["app"]])
    join(young.pid)
    helpers.wait_for(lambda: opened_by(run, young.pid), helpers.START_S, "the new one is noticed")
    young.wait_lines(2)
    run.interrupt()
    report = run.final()
    pids = {site["pid"] for site in report.sites_of("fibonacci")}
    assert pids == {young.pid}, (pids, outside.pid)
    for program in (young, outside):
        program.kill()
    first.kill()


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_children_of_a_process_that_joins_a_container(bench, cgroup, backend):
    """With -f it is followed from then on: its children are traced from their first instruction."""
    directory, container_id = cgroup

    def join(pid):
        with open(os.path.join(directory, "cgroup.procs"), "w", encoding="ascii") as procs:
            procs.write(str(pid))

    def is_followed(pid):
        with open("/proc/%d/status" % pid, encoding="ascii") as status:
            return "\nTracerPid:\t%d\n" % run.pid in status.read()
    first = bench.target("big")
    join(first.pid)
    run = bench.memleak("--json", "-o", "0", "--backend", backend, "-f", "--container",
                        container_id[:12], "300")
    run.wait_attached()
    young = bench.target("forker")
    join(young.pid)
    helpers.wait_for(lambda: is_followed(young.pid), helpers.START_S, "the new one is followed")
    young.work()
    run.interrupt()
    report = run.final()
    assert report.site("leak_in_child") == (6000, 3)
    assert report["caveats"].get("processes_unseen") == 1, "the new one had begun before it joined"
    assert young.finish() == 0
    first.kill()


ROOTLESS = r"""
set -eu
root=$1 program=$2 debug=$3 id=$4
mount -t tmpfs tmpfs "$root"
mkdir "$root/lower" "$root/upper" "$root/work" "$root/merged" "$root/bound"
{ ldd "$program" | grep -oE '/[^ ]+'; } | while read -r library; do
	mkdir -p "$root/lower$(dirname "$library")"
	cp -L "$library" "$root/lower$library"
done
cp "$program" "$root/bound/app"
mount -t overlay -o "lowerdir=$root/lower,upperdir=$root/upper,workdir=$root/work" \
	overlay "$root/merged"
mkdir "$root/merged/opt"
mount --bind "$root/bound" "$root/merged/opt"
mkdir -p "$root/merged/usr/lib/debug/.build-id/${id%"${id#??}"}"
cp "$debug" "$root/merged/usr/lib/debug/.build-id/${id%"${id#??}"}/${id#??}.debug"
exec unshare --mount chroot "$root/merged" /opt/app
"""


def child_called(pid, name):
    """The descendant of @pid called @name, or None."""
    for entry in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as stat:
                text = stat.read()
        except (OSError, ValueError):
            continue
        if int(text.rpartition(")")[2].split()[1]) != pid:
            continue
        if "(%s)" % name in text:
            return int(entry)
        found = child_called(int(entry), name)
        if found:
            return found
    return None


def test_rootless_container(bench, tmp_path):
    """Own user, mount (twice) and pid namespace, chroot into an overlayfs, the program on a bind
    mount, and its debug file nowhere else."""
    whole, stripped, debug = (str(tmp_path / name) for name in ("whole", "stripped", "debug"))
    subprocess.run(["gcc", "-g", "-O0", "-pthread", "-Wl,--build-id=sha1", "-o", whole,
                    os.path.join(helpers.ROOT, "examples", "app.c")], check=True, timeout=60)
    subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True, timeout=20)
    subprocess.run(["strip", whole, "-o", stripped], check=True, timeout=20)
    notes = subprocess.run(["readelf", "-n", whole], check=True, timeout=20, capture_output=True,
                           text=True).stdout
    root = tmp_path / "root"
    root.mkdir()
    shell = bench.program(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork",
                           "--kill-child", "sh", "-c", ROOTLESS, "sh", root, stripped, debug,
                           re.search(r"Build ID: (\S+)", notes).group(1)])

    def find():
        assert shell.is_running(), shell.err()
        return child_called(shell.pid, "app")
    pid = helpers.wait_for(find, helpers.START_S, "the program runs")
    run = bench.attach(pid, interval="300")
    shell.wait_lines(2)
    # Its namespaces are gone before the report is made.
    os.kill(pid, 9)
    run.wait()
    report = run.final()
    frames = frames_of(report, "fibonacci")
    assert [frame["symbol"] for frame in frames[:2]] == ["fibonacci", "child"]
    assert frames[0]["file"].endswith("app.c") and frames[0]["line"] > 0
    assert report.sites_of("fibonacci")[0]["stack_end"] == "complete"
