# SPDX-License-Identifier: BSD-2-Clause
"""Programs that translate code are left alone; of foreign code it is said that it is not seen."""
import json
import os
import shutil

import pytest

BACKENDS = pytest.mark.parametrize("backend", ["bpf", "agent"])


def named(bench, name):
    """A target whose file has the name @name."""
    path = os.path.join(bench.directory, name)
    shutil.copy(bench.programs["realloc"], path)
    bench.programs.extra[name] = path
    return bench.target(name)


@BACKENDS
@pytest.mark.parametrize("name", ["qemu-x86_64", "memcheck-amd64-linux"])
def test_translated_code_is_left_alone(bench, backend, name):
    target = named(bench, name)
    status, _, err = bench.run("--backend", backend, "-p", target.pid, "1", "1")
    assert status == 3
    assert name + " translates the program's code" in err
    assert target.work(), "it goes on"
    assert target.finish() == 0


def test_doctor_says_so(bench):
    target = named(bench, "qemu-x86_64")
    _, out, _ = bench.run("doctor", "--json", "-p", target.pid)
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert checks["allocators"]["status"] == "fail"
    assert "translates" in checks["allocators"]["detail"]


@BACKENDS
def test_foreign_code_is_not_seen(bench, backend):
    target = named(bench, "qemu-aarch64")
    run = bench.attach(target.pid, "--backend", backend)
    truth = target.work()
    run.interrupt()
    assert run.err().count("a program of another machine") == 1
    for function, site in truth.items():
        assert run.final().site(function)[0] == site["bytes"]
