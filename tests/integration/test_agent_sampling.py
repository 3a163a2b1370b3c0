# SPDX-License-Identifier: BSD-2-Clause
"""Calls that sampling by bytes lets pass, some of which call the allocator's other functions."""
import pytest

MEAN = 8000
BUILDS = ["", "-static", "-musl", "-musl-static", "-jemalloc", "-tcmalloc", "-mimalloc"]


@pytest.mark.parametrize("build", BUILDS)
def test_resized(bench, build):
    truth, report, _ = bench.trace(
        "resized" + build, options=("--backend", "agent", "--sample-bytes", str(MEAN)), seconds=40)
    for function, site in truth.items():
        # Of 2000 blocks 39 % are kept: five standard deviations. Counted twice it would be 1.6 times as much.
        bytes_, count = report.site(function)
        tolerance = 5 / (0.39 * site["count"]) ** 0.5
        assert abs(bytes_ - site["bytes"]) < tolerance * site["bytes"], function
        assert abs(count - site["count"]) < tolerance * site["count"], function
