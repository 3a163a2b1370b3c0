# SPDX-License-Identifier: BSD-2-Clause
"""Libraries that are loaded while their process is traced: whole stacks from their first call on."""
import signal

import pytest


@pytest.mark.parametrize("backend", ["bpf", "agent"])
@pytest.mark.parametrize("arguments", [(), ("child",)])
def test_library_leaks_as_soon_as_it_is_loaded(bench, backend, arguments):
    truth, report, _ = bench.trace("dlopen_leak", bench.programs["libleaky.so"], *arguments,
                                   options=("--backend", backend, "-f"))
    said = truth["leak_in_library"]
    assert report.site("leak_in_library") == (said["bytes"], said["count"])
    frames = report.sites_of("leak_in_library")[0]["frames"]
    assert frames[0]["module"] == "libleaky.so"
    assert [frame["symbol"] for frame in frames[:3]] == ["leak_in_library", "load_and_leak", "main"]
    assert "stacks_no_unwind_info" not in report["caveats"]


@pytest.mark.parametrize("backend", ["bpf", "agent"])
@pytest.mark.parametrize("library", ["libc.so.6", "libmimalloc.so.2"])
def test_allocators_are_traced_from_their_first_call_on(bench, backend, library):
    """A library that brings allocators is used at once: the loader waits until they are traced."""
    truth, report, _ = bench.trace("loaded_allocator", library, options=("--backend", backend))
    said = truth["leak_at_once"]
    assert report.site("leak_at_once") == (said["bytes"], said["count"])
    assert "functions_late" not in report["caveats"]


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_loader_does_not_wait_for_a_stopped_tool(bench, backend):
    """It goes on after a moment, and it is said that what came then was not seen."""
    target = bench.target("loaded_allocator", "libmimalloc.so.2")
    run = bench.attach(target.pid, "--backend", backend)
    run.signal(signal.SIGSTOP)
    target.work()
    assert target.values()["milliseconds"] < 5000
    run.signal(signal.SIGCONT)
    run.interrupt()
    report = run.final()
    assert report.site("leak_at_once")[1] < target.sites()["leak_at_once"]["count"]
    assert report["caveats"]["functions_late"] > 0
