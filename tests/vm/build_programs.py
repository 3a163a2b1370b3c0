# SPDX-License-Identifier: BSD-2-Clause
"""Builds the programs that the integration tests trace into a folder, and the guest's own."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import conftest  # noqa: E402


def main():
    directory = sys.argv[1]
    programs = conftest.Programs(directory)
    programs.build_all()
    for name in conftest.builds():
        assert programs[name]
    subprocess.run(["gcc", "-g", "-O2", "-fomit-frame-pointer", "-o",
                    os.path.join(directory, "once"), os.path.join(HERE, "once.c")], check=True)


main()
