# SPDX-License-Identifier: BSD-2-Clause
"""The short version of `make torture`, and what else could trip the agent."""
import os
import subprocess

import pytest

import helpers

AGENT = ("--backend", "agent")
TORTURE = os.path.join(helpers.ROOT, "tests", "torture", "torture.py")


@pytest.mark.parametrize("names", ["tempest", "redis,nginx"])
def test_torture(names, tmp_path):
    with open(tmp_path / "out", "w+", encoding="utf-8") as out:
        subprocess.run(["/usr/bin/python3", TORTURE, helpers.MEMLEAK, "--cycles", "5", "--kills",
                        "4", "--follow", "--only", names], stdin=subprocess.DEVNULL, stdout=out,
                       stderr=out, timeout=50 * helpers.SLOWNESS, check=False)
        out.seek(0)
        text = out.read()
    assert text.count("as before") == len(names.split(",")), text


def test_a_thousand_threads(bench):
    truth, report, target = bench.trace("throng", options=AGENT)
    site = truth["leak_in_throng"]
    assert report.site("leak_in_throng") == (site["bytes"], site["count"])
    with open("/proc/%d/maps" % target.pid, encoding="ascii") as maps:
        assert "memleak" not in maps.read()
