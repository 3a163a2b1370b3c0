# SPDX-License-Identifier: BSD-2-Clause
"""Allocators other than the C library's, and C libraries other than glibc, without being told."""
import pytest

LIBRARIES = "/usr/lib/x86_64-linux-gnu/"
# What the truth of allocators.c says and every allocator below has.
COMMON = ("leak_malloc", "leak_calloc", "leak_realloc", "leak_posix_memalign",
          "leak_aligned_alloc", "free_everything")


def check_common(truth, report):
    for function in COMMON:
        assert report.site(function) == (truth[function]["bytes"], truth[function]["count"]), \
            function
    check_strdup(truth["leak_strdup"], report)


def check_strdup(site, report):
    """It allocates inside the C library. Debian's musl has no unwind information: there the stack
    ends in strdup, and the report says so."""
    if not report.sites_of("leak_strdup"):
        ends = [found["stack_end"] for found in report.sites_of("strdup")]
        assert ends == ["no_unwind_info"]
        assert report["caveats"]["stacks_no_unwind_info"] == site["count"]
        assert report.site("strdup") == (site["bytes"], site["count"])
    else:
        assert report.site("leak_strdup") == (site["bytes"], site["count"])


@pytest.mark.parametrize("library", ["libjemalloc.so.2", "libtcmalloc_minimal.so.4",
                                     "libmimalloc.so.2"])
def test_preloaded(bench, library):
    truth, report, _ = bench.trace("allocators", env={"LD_PRELOAD": LIBRARIES + library})
    check_common(truth, report)


@pytest.mark.parametrize("build", ["allocators-jemalloc", "allocators-tcmalloc",
                                   "allocators-mimalloc", "allocators-musl",
                                   "allocators-musl-static", "allocators-static"])
def test_linked(bench, build):
    truth, report, _ = bench.trace(build)
    check_common(truth, report)
    assert report.line("leak_malloc") == truth["leak_malloc"]["line"]


def test_object_by_path(bench):
    library = LIBRARIES + "libjemalloc.so.2"
    truth, report, _ = bench.trace("allocators", env={"LD_PRELOAD": library},
                                   options=("-O", library))
    check_common(truth, report)


def test_object_by_name(bench):
    truth, report, _ = bench.trace("allocators", options=("-O", "c"))
    check_common(truth, report)


def test_new_with_preloaded_allocator(bench):
    truth, report, _ = bench.trace("new_delete",
                                   env={"LD_PRELOAD": LIBRARIES + "libtcmalloc_minimal.so.4"})
    for function, site in truth.items():
        assert report.site(function) == (site["bytes"], site["count"]), function


def test_symbols_prefix(bench):
    """Functions called PREFIXmalloc, PREFIXfree …: an allocator under another name."""
    target = bench.target("prefixed")
    run = bench.attach(target.pid, "-S", "my_", "-O", bench.programs["prefixed"])
    truth = target.work()
    run.interrupt()
    assert run.final().site("leak_prefixed") == (truth["leak_prefixed"]["bytes"],
                                                 truth["leak_prefixed"]["count"])


def test_object_that_is_not_there(bench):
    target = bench.target("big")
    status, out, err = bench.run("-O", "/no/such/library.so", "-p", target.pid, "0.3", "1")
    assert status in (2, 3)
    assert "/no/such/library.so" in err
    assert "outstanding" not in out
