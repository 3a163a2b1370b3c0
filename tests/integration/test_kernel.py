# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own allocators."""
import pytest


@pytest.fixture
def opener(bench):
    """A program that keeps the kernel allocating: it opens files and forgets them."""
    return bench.program(["python3", "-c", "import os, time\nkept = []\nwhile True:\n"
                          " kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(100)]\n"
                          " time.sleep(0.05)\n [os.close(fd) for fd in kept]\n"])


def kernel_run(bench, *options):
    run = bench.memleak("--json", "-o", "0", *options, "0.5", "3")
    assert run.wait(30) == 0, run.err()
    report = run.final()
    report.check_totals()
    return report


@pytest.mark.parametrize("options", [(), ("-P",), ("-F",)])
def test_kernel_allocations(bench, opener, options):
    report = kernel_run(bench, *options)
    assert report["target"] == {"kernel": True} or report["target"].get("kernel") is True
    assert report["totals"]["allocs"] > 100
    assert report.sites
    kinds = {frame["kind"] for site in report.sites for frame in site["frames"]}
    assert "kernel" in kinds
    named = [site for site in report.sites
             if site["frames"] and site["frames"][0]["symbol"]]
    assert len(named) * 10 >= len(report.sites) * 9, "kernel frames without names"


def test_text_report(bench, opener):
    status, out, err = bench.run("-o", "0", "0.5", "2")
    assert status == 0, err
    assert out.splitlines()[0] == "Attaching to kernel allocators, Ctrl+C to quit."
    assert "allocations from stack" in out


def test_interrupt(bench):
    run = bench.memleak("--json", "0.3")
    run.wait_attached()
    run.interrupt()
    run.final()
