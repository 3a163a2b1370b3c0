# SPDX-License-Identifier: BSD-2-Clause
"""Which way of tracing --backend auto takes, and that the figures are right either way."""
import shutil

import pytest

import helpers


def trace(bench, *arguments, options=(), until=None):
    """@until: what memleak says before the target is let work."""
    target = bench.target("hot", *arguments)
    run = bench.attach(target.pid, *options)
    helpers.wait_for(lambda: not until or until in run.err(), 30, until)
    truth = target.work(30)
    run.interrupt()
    site = truth["leak_when_hot"]
    return run, run.final(), (site["bytes"], site["count"])


def test_busy_target_is_traced_from_inside(bench):
    run, report, expected = trace(bench, until="tracing from inside")
    assert report["backend"] == "agent"
    assert report["sampling"]["mode"] == "all"
    assert "over --max-overhead" in run.err()
    assert report.site("leak_when_hot") == expected
    assert 0 < report["cost"]["target_cpu_fraction"] <= 1


def test_idle_target_stays_with_bpf(bench):
    run, report, expected = trace(bench, "idle")
    assert report["backend"] == "bpf"
    assert "memleak:" not in run.err()
    assert report.site("leak_when_hot") == expected


def test_probes_of_others_do_not_cut_stacks(bench):
    """Another process has return probes in the same library: as long as ours are there, too, the
    kernel would put its own return address on the stack, whatever our program says."""
    other = bench.target("ticker")
    bench.attach(other.pid, "--backend", "bpf")
    _, report, expected = trace(bench)
    assert report["backend"] == "agent"
    assert report.site("leak_when_hot") == expected
    # Of calls that were on their way when it moved.
    assert report["caveats"].get("stacks_no_unwind_info", 0) <= 2


@pytest.mark.parametrize("options, backend", [
    (("--backend", "bpf"), "bpf"), (("--backend", "agent"), "agent"),
])
def test_the_user_decides(bench, options, backend):
    _, report, expected = trace(bench, options=options)
    assert report["backend"] == backend
    assert report.site("leak_when_hot") == expected


def test_agent_cannot_go_there(bench):
    """No addresses are left for it: stays with bpf, and says so."""
    bench.programs.extra["prlimit"] = shutil.which("prlimit")
    target = bench.target("prlimit", "--as=300000000", bench.programs["hot"])
    run = bench.attach(target.pid)
    helpers.wait_for(lambda: "it stays so" in run.err(), 30, "it says that it stays")
    truth = target.work(30)
    run.interrupt()
    assert run.final()["backend"] == "bpf"
    assert "RLIMIT_AS" in run.err()
    site = truth["leak_when_hot"]
    assert run.final().site("leak_when_hot") == (site["bytes"], site["count"])
    assert target.finish() == 0


def test_agent_would_see_less(bench):
    """An allocator that cannot be patched at its start: what bpf sees stays seen."""
    target = bench.target("hot", env={"LD_PRELOAD": bench.programs["libshort.so"]})
    run = bench.attach(target.pid)
    helpers.wait_for(lambda: "it stays so" in run.err(), 30, "it says that it stays")
    truth = target.work(30)
    run.interrupt()
    report = run.final()
    site = truth["leak_when_hot"]
    assert report["backend"] == "bpf"
    assert report.site("leak_when_hot") == (site["bytes"], site["count"])
    assert "would be missed from inside" in run.err()
    assert "functions_by_imports" not in report["caveats"]
    assert target.finish() == 0


def test_another_memleak_is_never_probed_over(bench):
    """A uprobe on a patched function would end the target."""
    target = bench.target("hot", "idle")
    first = bench.attach(target.pid, "--backend", "agent")
    status, _, err = bench.run("--backend", "bpf", "-p", target.pid, "1", "1")
    assert status == 3 and "another memleak" in err
    first.process.kill()
    first.process.wait()
    # What it left is taken out first, then probed.
    second = bench.attach(target.pid, "--backend", "bpf")
    assert "removed the agent" in second.err()
    truth = target.work(30)
    second.interrupt()
    site = truth["leak_when_hot"]
    assert second.final().site("leak_when_hot") == (site["bytes"], site["count"])
    assert target.finish() == 0


def test_options_that_contradict(bench):
    status, _, err = bench.run("--max-overhead", "5", "--backend", "bpf", "-p", "1")
    assert status == 2 and "--max-overhead" in err
