# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks that are programs of their own."""
import os
import re
import shutil
import subprocess

import rows


def _built(folder, name):
    """The path of a program of bench/meson.build, or None when it is not there or cannot be built."""
    with open(f"{rows.HERE}/meson.build", encoding="utf-8") as build:
        if f"executable('{name}'" not in build.read():
            return None
    done = subprocess.run(["ninja", "-C", folder, f"bench/{name}"], capture_output=True, stdin=subprocess.DEVNULL,
                          check=False)
    return f"{folder}/bench/{name}" if done.returncode == 0 else None


def _symbolized_files():
    """Libraries' debug files are only used where installed."""
    program = shutil.which("redis-server")
    libraries = subprocess.run(["ldd", shutil.which("gdb") or program or rows.PYTHON], capture_output=True, text=True,
                               check=False, stdin=subprocess.DEVNULL).stdout
    return [path for path in (program, *re.findall(r"=> (\S*/lib(?:c\.so|stdc\+\+)\S*)", libraries)) if path]


def commands(memleak):
    """(Title, command) of each that is there."""
    folder = os.path.dirname(memleak)
    found = []
    if os.path.exists(f"{rows.HERE}/stops.py"):
        found.append(("Stops of the agent, by threads", [rows.PYTHON, f"{rows.HERE}/stops.py", memleak]))
    agent_call = _built(folder, "agent_call")
    if agent_call:
        found.append(("The agent's own time a call", [agent_call]))
    symbolize = _built(folder, "symbolize")
    if symbolize:
        found.append(("Symbolizing 1 000 stacks of 20 frames, nearly all different",
                      [symbolize, "1000", "", *_symbolized_files()]))
    return found
