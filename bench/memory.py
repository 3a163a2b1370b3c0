# SPDX-License-Identifier: BSD-2-Clause
"""Memory that a tool takes in the traced program, by the number of its live blocks (blocks.c)."""
import os
import subprocess

import machine
import rows

COUNTS = (10_000, 100_000, 1_000_000)
STEPS = ("at first", "allocated", "replaced")
TOOLS = ("agent-exact", "agent-sampled", "bpf-exact", "heaptrack", "lsan", "jemalloc", "tcmalloc")


def build(work):
    subprocess.run(["gcc", "-O2", "-o", f"{work}/blocks", f"{rows.HERE}/blocks.c"], check=True)


def _resident_kib(work, count, tool=None, plain=None):
    """The program's resident memory after each step, in KiB."""
    starter = tool if tool and not tool.command else None
    environment = starter.environment if starter else plain or {}
    process = subprocess.Popen([*(starter.prefix if starter else ()), f"{work}/blocks", str(count)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               start_new_session=True, env={**os.environ, **environment})
    attached, found = None, []
    try:
        for step in STEPS:
            while process.stdout.readline() != "ready\n":
                if process.poll() is not None:
                    raise RuntimeError("has ended")
            pid = rows.program_of(process.pid, f"{work}/blocks")
            if step == STEPS[0] and tool and tool.command:
                attached = tool.attach(pid, work)
            found.append(machine.memory_kib(pid))
            process.stdin.write("\n")
            process.stdin.flush()
    finally:
        if attached:
            attached.end()
        rows.end_group(process)
    return found


def added(work, count, tool):
    """(KiB before anything is allocated, bytes a live block, bytes a live block after replacing)."""
    without = _resident_kib(work, count, plain=tool.beside)
    with_tool = _resident_kib(work, count, tool)
    base, first, last = (during - before for before, during in zip(without, with_tool))
    return base, (first - base) * 1024 / count, (last - base) * 1024 / count


def table(work, tools, counts, say, record):
    say("\n## Memory added in the target\n")
    say("| tool | before any block | " + " | ".join(f"a block, {count:,} live; after 3 times as many were replaced"
                                                  for count in counts) + " |")
    say("|---|---|" + "---|" * len(counts))
    for tool in tools:
        cells, base = [], 0
        for count in counts:
            try:
                base, first, last = added(work, count, tool)
            except RuntimeError as error:
                cells.append(f"did not work: {error}")
                continue
            cells.append(f"{first:.1f}; {last:.1f} bytes")
            record.append({"tool": tool.key, "blocks": count, "base_kib": base, "bytes_a_block": first,
                           "bytes_a_block_replaced": last})
        say(f"| {tool.name} | {base / 1024:.1f} MiB | " + " | ".join(cells) + " |")
