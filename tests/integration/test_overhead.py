# SPDX-License-Identifier: BSD-2-Clause
"""--max-overhead is kept while it runs: what was booked before a move is in the books after it."""
import helpers

MOVED = "from now on"


def wake(bench, *options, interval="5", arguments=()):
    """A target that becomes busy once it is traced, and the run that traces it."""
    target = bench.target("wakes", *arguments)
    run = bench.attach(target.pid, *options, interval=interval)
    target.tell()
    target.wait_event("quiet")
    target.tell()
    target.wait_event("busy")
    return target, run


def end(target, run):
    truth = target.work(60)
    run.interrupt()
    return truth, run.final()


def check(truth, report):
    """While the probes go others' probes on the same functions may hide a few callers; no block is lost for it."""
    for name in ("leak_early_and_late", "allocate_old_block", "allocate_large_block"):
        assert report.site(name) == (truth[name]["bytes"], truth[name]["count"]), name
    hidden = sum(site["count"] for site in report.sites if site["stack_end"] == "no_unwind_info")
    assert report.site("leak_when_busy")[1] + hidden == truth["leak_when_busy"]["count"]
    assert hidden <= 4
    report.check_totals()


def test_moves_to_the_agent_with_all_its_books(bench):
    target, run = wake(bench)
    helpers.wait_for(lambda: MOVED in run.err(), 30, "memleak moves to the agent")
    truth, report = end(target, run)
    assert report["backend"] == "agent"
    assert report["sampling"]["mode"] == "all"
    check(truth, report)
    # One site each: what was leaked before and after the move is one history.
    assert len(report.sites_of("allocate_old_block")) == 1
    assert len(report.sites_of("leak_early_and_late")) == 1
    assert target.finish() == 0


def test_bpf_forbids_it(bench):
    target, run = wake(bench, "--backend", "bpf", interval="1", arguments=["soon"])
    # Without it the second look would have made it move.
    for _ in range(2):
        seen = len(run.reports())
        run.wait_report(lambda report: len(run.reports()) > seen and
                        report["cost"]["target_cpu_fraction"] > 0.05, 30)
    truth, report = end(target, run)
    assert report["backend"] == "bpf" and MOVED not in run.err()
    check(truth, report)


def test_samples_when_the_agent_is_too_much(bench):
    """What was kept exactly stays so: blocks of before both moves, freed or not, are right."""
    target, run = wake(bench, "--max-overhead", "0.2")
    helpers.wait_for(lambda: "sampling by bytes" in run.err(), 40, "memleak samples")
    bench.pause(3)  # some looks at which the filter of frees can be cleared
    truth, report = end(target, run)
    assert report["backend"] == "agent"
    assert report["sampling"] == {"mode": "bytes", "n": 524288}
    for name in ("allocate_old_block", "allocate_large_block"):
        assert report.site(name) == (truth[name]["bytes"], truth[name]["count"]), name
    assert target.finish() == 0
