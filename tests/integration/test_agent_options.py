# SPDX-License-Identifier: BSD-2-Clause
"""What options leave of the books is the same by either backend, to the block."""
import pytest


def sites(report):
    return sorted((tuple(frame["symbol"] or "" for frame in site["frames"]), site["bytes"],
                   site["count"], site["allocs"], site["frees"], site["stack_end"])
                  for site in report.sites)


@pytest.mark.parametrize("options", [
    ("-s", 5), ("-z", 300, "-Z", 700), ("--sort", "count"), ("--perf-max-stack-depth", 2),
    ("-O", "libc.so.6"),
])
def test_same_books(bench, options):
    found = []
    for backend in ("bpf", "agent"):
        _, report, _ = bench.trace("allocators", options=("--backend", backend, *options))
        assert report["backend"] == backend
        found.append((sites(report), report["totals"]))
    assert found[0] == found[1]
    assert found[0][0]
