# SPDX-License-Identifier: BSD-2-Clause
"""Code made at run time has the names its runtime wrote, to a perf map or to a jitdump."""
import contextlib
import os

import pytest


@pytest.fixture
def jit(bench):
    """trace(): the books and the report of the little JIT; its files are taken away."""
    pids = []

    def trace():
        truth, report, target = bench.trace("jit")
        pids.append(target.pid)
        return truth, report
    yield trace
    for pid in pids:
        for path in ("/tmp/perf-%d.map" % pid, "/tmp/jit-%d.dump" % pid):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def test_names_of_compiled_code(jit):
    truth, report = jit()
    assert "modules_unreadable" not in report["caveats"], "a jitdump is no library"
    for function, said in truth.items():
        site, = [site for site in report.sites if site["frames"][0]["symbol"] == function]
        assert (site["bytes"], site["count"]) == (said["bytes"], said["count"])
        frame = site["frames"][0]
        assert frame["kind"] == "jit" and frame["module"] == "jit"
        assert frame["offset"] == 16, "behind the call"
        assert [frame["symbol"] for frame in site["frames"]][1] == "main"
        assert site["stack_end"] == "complete"
