# SPDX-License-Identifier: BSD-2-Clause
"""Programs with many different stacks, in the agent."""


def check_kept(truth, report):
    said = truth["descend"]
    assert report.site("descend") == (said["bytes"], said["count"])
    assert {site["stack_end"] for site in report.sites_of("descend")} == {"complete"}


def test_more_stacks_than_a_key_has_room_for(bench):
    """Each of 262 144 stacks is told apart, also those whose number does not fit a block's key."""
    truth, report, _ = bench.trace("more_stacks", options=("--backend", "agent"))
    check_kept(truth, report)
    caveats = report["caveats"]
    assert not caveats.get("stack_table_full") and not caveats.get("stacks_lost"), caveats
    assert report["totals"]["allocs"] >= 1 << 18
    depths = {sum(frame["symbol"] == "descend" for frame in site["frames"])
              for site in report.sites_of("descend")}
    assert depths == {19}


def test_table_of_stacks_is_full(bench):
    """Blocks whose stacks have no room are counted, and booked without one."""
    _, report, _ = bench.trace("more_stacks", "13",
                               options=("--backend", "agent", "--stack-storage-size", "1000"))
    assert report["caveats"]["stack_table_full"] > 1000
    assert report["totals"]["outstanding_count"] >= (1 << 13) // 256
