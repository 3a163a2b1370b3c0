# SPDX-License-Identifier: BSD-2-Clause
"""How many blocks --sample-bytes says there are."""
import pytest


@pytest.mark.parametrize("backend", ["bpf", "agent"])
def test_blocks_of_about_the_mean(bench, backend):
    """Blocks of some means are kept often, but not always: none stands for too many."""
    truth, report, _ = bench.trace(
        "sampled", options=("--backend", backend, "--sample-bytes", "5300"), seconds=40)
    count = report.site("leak_large")[1]
    # Of 1000 blocks 85 % are kept: 1.3 % is what chance does to their number.
    assert abs(count - truth["leak_large"]["count"]) < 0.08 * truth["leak_large"]["count"]
