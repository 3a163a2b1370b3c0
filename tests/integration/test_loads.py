# SPDX-License-Identifier: BSD-2-Clause
"""Libraries that are loaded while their process is traced: whole stacks from their first call on."""
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
