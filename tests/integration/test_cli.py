# SPDX-License-Identifier: BSD-2-Clause
"""The command line: what is refused, how, and what is understood."""
import json
import os
import resource
import signal
import subprocess

import pytest

import helpers

USAGE, CANNOT = 2, 3

# "PID" stands for a process of ours, should a bad line be taken for a good one.
BAD = [
    (["--no-such-option"], USAGE, "no-such-option"),
    (["-p"], USAGE, "p"),
    (["-p", "abc"], USAGE, "abc"),
    (["-p", "-5"], USAGE, "-5"),
    (["-p", "0"], USAGE, "0"),
    (["-p", "99999999999999999999"], USAGE, "99999999999999999999"),
    (["-p", "4194305"], CANNOT, "4194305"),
    (["-p", "PID", "abc"], USAGE, "abc"),
    (["-p", "PID", "-1"], USAGE, "1"),
    (["-p", "PID", "0"], USAGE, "0"),
    (["-p", "PID", "1", "x"], USAGE, "x"),
    (["-p", "PID", "1", "1", "1"], USAGE, "1"),
    (["-p", "PID", "-c", "sleep 1"], USAGE, "-c"),
    (["-T", "-1", "-p", "PID"], USAGE, "-1"),
    (["-T", "many", "-p", "PID"], USAGE, "many"),
    (["-z", "20", "-Z", "10", "-p", "PID"], USAGE, "20"),
    (["-s", "0", "-p", "PID"], USAGE, "0"),
    (["-o", "old", "-p", "PID"], USAGE, "old"),
    (["--sort", "colour", "-p", "PID"], USAGE, "colour"),
    (["--format", "carrier-pigeon", "-p", "PID"], USAGE, "carrier-pigeon"),
    (["--backend", "magic", "-p", "PID"], USAGE, "magic"),
    (["-c", ""], USAGE, ""),
    (["-c", "sleep 'open"], USAGE, "quote"),
    (["-c", "/no/such/command"], CANNOT, "/no/such/command"),
    (["--", "no-such-command-anywhere"], CANNOT, "no-such-command-anywhere"),
    (["-w", "/no/such/folder/report", "-p", "PID", "1", "1"], CANNOT, "/no/such/folder/report"),
]


@pytest.mark.parametrize("arguments, status, part", BAD, ids=[" ".join(bad[0]) for bad in BAD])
def test_bad_input(bench, arguments, status, part):
    pid = bench.program(["sleep", "60"]).pid
    got, out, err = bench.run(*[str(pid) if word == "PID" else word for word in arguments])
    # A command that cannot be started may count as bad usage too.
    assert got == status or (got == USAGE and arguments[0] in ("-c", "--")), err
    assert out == ""
    lines = err.splitlines()
    assert 1 <= len(lines) <= 2, err
    assert lines[0].startswith("memleak: ")
    assert part in err


def test_help(bench):
    status, out, err = bench.run("--help")
    assert status == 0 and err == ""
    for option in ("--pid", "--show-allocs", "--older", "--command", "--combined-only", "--json",
                   "--wa-missing-free", "--sample-rate", "--top", "--min-size", "--max-size",
                   "--obj", "--percpu", "--sort", "--symbols-prefix", "--follow"):
        assert option in out, option


def test_version(bench):
    status, out, err = bench.run("--version")
    assert status == 0 and err == ""
    assert out.startswith("memleak ") and len(out.splitlines()) == 1


def test_combined_short_options(bench):
    target = bench.target("big")
    run = bench.memleak("-ap%d" % target.pid, "-o0", "0.3")
    run.wait_attached()
    target.work()
    run.interrupt()
    assert "\taddr = " in run.out()


@pytest.mark.parametrize("words", [
    ["-c", "'{0}' 'two words' \"x'y\" plain"],
    ["--", "{0}", "two words", "x'y", "plain"],
])
def test_command_words(bench, tmp_path, words):
    script = tmp_path / "show words"
    script.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" >'{0}/words'\nsleep 1\n"
                      .format(tmp_path))
    script.chmod(0o755)
    separator = words.index("--") if "--" in words else len(words)
    run = bench.memleak("0.3", *[word.format(script) for word in words]) \
        if separator == 0 else bench.memleak(*[word.format(script) for word in words], "0.3")
    assert run.wait() == 0, run.err()
    assert (tmp_path / "words").read_text().splitlines() == ["two words", "x'y", "plain"]


def test_command_by_path_search_and_first_allocation(bench):
    """Allocations of the command's very start are seen, and PATH is searched."""
    directory = os.path.dirname(bench.programs["allocators"])
    path = "%s:%s" % (directory, os.environ["PATH"])
    run = bench.memleak("--json", "-o", "0", "5", "--", "allocators", env={"PATH": path})
    assert run.wait() in (0, 4)
    report = run.final()
    assert report.site("leak_malloc") == (2323, 23)


def test_command_gets_its_exit_and_output(bench):
    run = bench.memleak("-o", "0", "0.3", "--", "sh", "-c", "sleep 1; echo said by the command")
    assert run.wait() == 0
    assert "said by the command" in run.out()


def test_count_ends_it(bench):
    target = bench.target("big")
    status, out, err = bench.run("-p", target.pid, "0.2", "3")
    assert status == 0, err
    assert out.count("outstanding allocations") == 3
    assert target.is_running()


def test_fail_on_leak(bench):
    target = bench.target("ticker")
    status, out, err = bench.run("--fail-on-leak", "-o", "0", "-p", target.pid, "0.3", "10")
    assert status == 1, (out, err)
    quiet = bench.program([bench.programs["app_fixed"]])
    assert bench.run("--fail-on-leak", "-p", quiet.pid, "0.3", "4")[0] == 0


def test_output_file(bench, tmp_path):
    target = bench.target("big")
    report = tmp_path / "report.json"
    status, out, err = bench.run("--json", "-w", report, "-p", target.pid, "0.2", "1")
    assert status == 0, err
    assert out == ""
    assert report.read_text().startswith("{")


def test_doctor(bench):
    target = bench.target("big")
    status, out, err = bench.run("doctor", "-p", target.pid, "--json")
    assert status == 0, err
    report = json.loads(out)
    assert report["schema"] == "memleak/1" and report["kind"] == "doctor"
    assert report["backends"]["bpf"]["usable"] is True
    for check in report["checks"]:
        assert check["status"] in ("ok", "warn", "fail")
        assert check["name"] and check["detail"]
        assert check["status"] == "ok" or check["remedy"], check
    status, out, err = bench.run("doctor")
    assert status == 0 and out, err


def doctor(bench, pid):
    status, out, err = bench.run("doctor", "-p", pid, "--json")
    assert status == 0, err
    return json.loads(out)["backends"]


def test_doctor_foresees_refusals(bench):
    """What it calls usable is: each backend's own refusals of this process are told."""
    target = bench.target("big")
    limits = resource.prlimit(target.pid, resource.RLIMIT_AS)
    resource.prlimit(target.pid, resource.RLIMIT_AS, (1 << 30, limits[1]))
    backends = doctor(bench, target.pid)
    assert backends["bpf"]["usable"] and not backends["agent"]["usable"]
    status, _, err = bench.run("--backend", "agent", "-p", target.pid, "0.2", "1")
    assert status == CANNOT and "RLIMIT_AS" in err and "RLIMIT_AS" in backends["agent"]["reason"]
    resource.prlimit(target.pid, resource.RLIMIT_AS, limits)
    assert doctor(bench, target.pid)["agent"]["usable"]
    strace = bench.program(["strace", "-qq", "-o", "/dev/null", "-p", str(target.pid)])
    helpers.wait_for(lambda: not doctor(bench, target.pid)["agent"]["usable"], helpers.START_S,
                     "the debugger is seen")
    assert doctor(bench, target.pid)["bpf"]["usable"]
    strace.signal(signal.SIGTERM)


def test_stripped_program(bench, tmp_path):
    """The report names the file that lacks names, the doctor what would give them."""
    path = str(tmp_path / "stripped")
    subprocess.run(["strip", "-o", path, bench.programs["realloc"]], check=True)
    target = helpers.Target([path], str(tmp_path))
    bench.started.append(target)
    status, out, _ = bench.run("doctor", "-p", target.pid)
    assert status == 0
    assert "only the functions they export (stripped): stripped" in out, out
    run = bench.memleak("-o", "0", "-p", target.pid, "5")
    run.wait_attached()
    target.work()
    run.interrupt()
    assert "frames without a symbol, most of them in stripped\n" in run.out(), run.out()


def test_runs_from_anywhere(bench):
    """Nothing of the source tree or the working directory is needed."""
    run = bench.program(["env", "-i", helpers.MEMLEAK, "--version"])
    assert run.wait() == 0
    assert run.out().startswith("memleak ")
