# SPDX-License-Identifier: BSD-2-Clause
"""How long it takes to attach and to detach, and what of it the program sees."""
import os
import signal
import statistics
import subprocess
import time

import machine
import rows
import tools

TIMES = 3
THREADS = (1, 50, 1000)
PROGRAM = """
import ssl, sqlite3, ctypes, decimal, bz2, lzma, curses, readline, json, zlib, hashlib, uuid
import sys, threading, time
threading.stack_size(65536)
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print(flush=True)
time.sleep(600)
"""


def _attach_s(memleak, pid, work, *options):
    start = time.monotonic()
    attached = tools.Attached([memleak, *options, "-p", str(pid), "60"], work)
    return time.monotonic() - start, attached


def _median_times(memleak, target, work, backend):
    """(Start of memleak to attached, SIGINT to its end), seconds."""
    begin, finish = [], []
    for _ in range(TIMES):
        took_s, attached = _attach_s(memleak, target.pid, work, "--backend", backend)
        begin.append(took_s)
        time.sleep(0.2)
        start = time.monotonic()
        attached.end()
        finish.append(time.monotonic() - start)
    return statistics.median(begin), statistics.median(finish)


def threads_table(memleak, work, say, record):
    """As the user sees it, for python3 with many libraries."""
    say("\n## Attach and detach: python3 with many libraries\n")
    say("| threads | files mapped executable | backend | start of memleak to attached "
        "| SIGINT to its end, report included |\n|---|---|---|---|---|")
    for count in THREADS:
        target = subprocess.Popen([rows.PYTHON, "-c", PROGRAM, str(count)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE)
        try:
            target.stdout.readline()
            with open(f"/proc/{target.pid}/maps", encoding="utf-8") as maps:
                files = len({line.split()[-1] for line in maps if "r-xp" in line and "/" in line})
            for backend in ("bpf", "agent"):
                attach_s, detach_s = _median_times(memleak, target, work, backend)
                say(f"| {count} | {files} | {backend} | {attach_s:.2f} s | {detach_s:.2f} s |")
                record.append({"threads": count, "backend": backend, "attach_s": attach_s, "detach_s": detach_s})
        finally:
            target.kill()
            target.wait()
            target.stdout.close()


def _build_huge(work):
    """A program of 300 000 functions, 100 MB of code."""
    with open(f"{work}/huge.s", "w", encoding="ascii") as source:
        for i in range(300000):
            source.write(f".globl f{i}\n.type f{i},@function\nf{i}:\n.cfi_startproc\npush %rbx\n"
                         ".cfi_def_cfa_offset 16\n.cfi_offset 3,-16\nsub $48,%rsp\n"
                         ".cfi_def_cfa_offset 64\n.skip 320,0x90\nadd $48,%rsp\n"
                         ".cfi_def_cfa_offset 16\npop %rbx\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n"
                         f".size f{i},.-f{i}\n")
        source.write('.section .note.GNU-stack,"",@progbits\n')
    with open(f"{work}/main.c", "w", encoding="ascii") as source:
        source.write("#include <stdlib.h>\n#include <unistd.h>\nvoid *volatile p;\n"
                     "int main(void) { for (;;) { p = malloc(9); usleep(100000); } }\n")
    subprocess.run(["gcc", "-o", f"{work}/huge", f"{work}/huge.s", f"{work}/main.c"], check=True)


def huge_table(memleak, work, say, record):
    _build_huge(work)
    say("\n## Attaching to 100 MB of code, 300 000 functions\n")
    say("| backend | start to attached | peak of the tool's memory | after that |\n|---|---|---|---|")
    target = subprocess.Popen([f"{work}/huge"], stdin=subprocess.DEVNULL)
    try:
        for backend in ("bpf", "agent"):
            took_s, attached = _attach_s(memleak, target.pid, work, "--backend", backend)
            peak, now = (machine.memory_kib(attached.pid, key) / 1024 for key in ("VmHWM", "VmRSS"))
            attached.end()
            say(f"| {backend} | {took_s:.2f} s | {peak:.0f} MiB | {now:.0f} MiB |")
            record.append({"functions": 300000, "backend": backend, "attach_s": took_s, "peak_mib": peak, "mib": now})
    finally:
        target.send_signal(signal.SIGKILL)
        target.wait()
    os.unlink(f"{work}/huge.s")
