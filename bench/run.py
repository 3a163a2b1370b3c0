# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks as ratios within one run: rounds of a workload without and with a tracer, interleaved.

The machine may be shared and noisy, so only the CPU time of the traced program counts, of which the
quickest fifth, and every figure stands beside its untraced twin from the same process.
"""
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# bench/run.py MEMLEAK [WORD...]: only the tools whose names have one of the words.
WORDS = sys.argv[2:]
MEMLEAK = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/memleak")
TRACED_S = 1.5
QUIET_S = 0.7

BPFTRACE = """
uprobe:/lib/x86_64-linux-gnu/libc.so.6:malloc { @size[tid] = arg0; }
uretprobe:/lib/x86_64-linux-gnu/libc.so.6:malloc /@size[tid]/ {
  @live[retval] = @size[tid]; @stack[retval] = ustack(); delete(@size[tid]); }
uprobe:/lib/x86_64-linux-gnu/libc.so.6:free { delete(@live[arg0]); delete(@stack[arg0]); }
"""


def tracers():
    """Name → command line for a pid; only those that are installed."""
    found = {}
    for backend in ("bpf", "agent"):
        for name, options in (("every allocation", []), ("--sample-bytes 524288", ["--sample-bytes", "524288"]),
                              ("-s 100", ["-s", "100"])):
            command = [MEMLEAK, "--backend", backend] + options
            found[f"memleak, {backend}, {name}"] = lambda pid, command=command: command + ["-p", str(pid), "60"]
    if shutil.which("memleak-bpfcc"):
        found["bcc memleak-bpfcc"] = lambda pid: ["memleak-bpfcc", "-p", str(pid), "60"]
    if shutil.which("bpftrace"):
        found["bpftrace, same idea"] = lambda pid: ["bpftrace", "-p", str(pid), "-e", BPFTRACE]
    return found


def launchers(work):
    """Tools that start the program: name → (command line before it, environment)."""
    found = {}
    lsan = "/usr/lib/x86_64-linux-gnu/liblsan.so.0"
    if os.path.exists(lsan):
        found["LeakSanitizer, preloaded"] = ([], {"LD_PRELOAD": lsan, "LSAN_OPTIONS": "detect_leaks=0"})
    if shutil.which("heaptrack"):
        found["heaptrack"] = (["heaptrack", "-o", f"{work}/heaptrack"], {})
    if shutil.which("valgrind"):
        found["valgrind --leak-check=full"] = (["valgrind", "-q", "--leak-check=full"], {})
    return found


def wanted(tools):
    return {name: tool for name, tool in tools.items() if not WORDS or any(word in name for word in WORDS)}


def build(work):
    subprocess.run(["gcc", "-O2", "-pthread", "-o", f"{work}/loop", f"{HERE}/loop.c"], check=True)
    subprocess.run(["g++", "-O2", "-o", f"{work}/words", f"{HERE}/words.cc"], check=True)


def workloads(work):
    """Name → (command line without the number of rounds, environment)."""
    return {
        "tight loop, 7 frames": ([f"{work}/loop", "tight"], {}),
        "tight loop, 24 frames": ([f"{work}/loop", "deep"], {}),
        "2 threads, 100 000 live blocks each": ([f"{work}/loop", "threads"], {}),
        "C++ map of strings": ([f"{work}/words"], {}),
        "sqlite3 in memory": (["/usr/bin/python3", f"{HERE}/sqlite_rounds.py"], {}),
        "python3 json": (["/usr/bin/python3", f"{HERE}/json_rounds.py"], {}),
        "python3 json, PYTHONMALLOC=malloc": (["/usr/bin/python3", f"{HERE}/json_rounds.py"],
                                              {"PYTHONMALLOC": "malloc"}),
    }


def quiet(values):
    """The median of the quickest fifth: what other programs on the machine disturbed least."""
    return statistics.median(sorted(values)[:max(1, len(values) // 5)])


def rounds(path, since_ns, until_ns):
    values = []
    with open(path) as lines:
        for line in lines:
            fields = line.split()
            if len(fields) == 2 and since_ns <= float(fields[0]) <= until_ns:
                values.append(float(fields[1]))
    return values


def end(process, how=signal.SIGINT):
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=60)


def attached(log, process, limit_s=30):
    """Waits for the tracer to say that it has attached."""
    deadline = time.time() + limit_s
    while time.time() < deadline and process.poll() is None:
        with open(log) as text:
            if re.search(r"Attach", text.read()):
                return True
        time.sleep(0.05)
    return False


def measure(workload, tracer, work, times=2):
    """(untraced, traced) rounds of one process, or None when the tracer fails."""
    command, environment = workload
    out, log = f"{work}/rounds", f"{work}/tracer"
    spans = {"untraced": [], "traced": []}
    with open(out, "w") as rounds_file:
        target = subprocess.Popen(command + ["1000000"], stdout=rounds_file, stdin=subprocess.DEVNULL,
                                  env={**os.environ, **environment})
    try:
        time.sleep(0.5)
        for _ in range(times):
            start = time.time_ns()
            time.sleep(QUIET_S)
            spans["untraced"].append((start, time.time_ns()))
            with open(log, "w") as log_file:
                process = subprocess.Popen(tracer(target.pid), stdout=log_file, stderr=log_file,
                                           stdin=subprocess.DEVNULL)
            if not attached(log, process):
                end(process)
                return None
            time.sleep(0.5)
            start = time.time_ns()
            time.sleep(TRACED_S)
            spans["traced"].append((start, time.time_ns()))
            end(process)
            time.sleep(0.2)
    finally:
        end(target, signal.SIGKILL)
    before, during = ([value for span in spans[kind] for value in rounds(out, *span)]
                      for kind in ("untraced", "traced"))
    return (quiet(before), quiet(during)) if before and during else None


def measure_launched(workload, launcher, work):
    """The same for a tool that starts the program: a process with it and one without, in turn."""
    command, environment = workload
    before, more = launcher
    values = {"untraced": [], "traced": []}
    for _ in range(2):
        for kind, prefix, extra in (("untraced", [], {}), ("traced", before, more)):
            with open(f"{work}/rounds", "w") as rounds_file:
                process = subprocess.Popen(prefix + command + ["1000000"], stdout=rounds_file,
                                           stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                           env={**os.environ, **environment, **extra}, start_new_session=True)
            time.sleep(1.0 + TRACED_S)
            # The tool may be a script with children: they are a session of their own.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            values[kind] += rounds(f"{work}/rounds", time.time_ns() - int(TRACED_S * 1e9), time.time_ns())
    if not values["untraced"] or not values["traced"]:
        return None
    return quiet(values["untraced"]), quiet(values["traced"])


def print_row(name, tool, result):
    if result is None:
        print(f"| {name} | {tool} | – | did not work | – | – |", flush=True)
        return
    before, during = result
    unit, scale = ("ns a pair", 1) if "loop" in name or "threads" in name else ("ms a round", 1e6)
    print(f"| {name} | {tool} | {before / scale:.2f} {unit} | {during / scale:.2f} "
          f"| {(during - before) / scale:.2f} | {during / before:.2f}× |", flush=True)


def cost_table(work):
    print("## Cost in the target (CPU time of rounds without and with the tool)\n")
    print("| workload | tool | untraced | traced | added | ratio |")
    print("|---|---|---|---|---|---|")
    for name, workload in workloads(work).items():
        for tool, tracer in wanted(tracers()).items():
            print_row(name, tool, measure(workload, tracer, work))
        for tool, launcher in wanted(launchers(work)).items():
            print_row(name, tool, measure_launched(workload, launcher, work))


def redis_rate(port):
    text = subprocess.run(["redis-benchmark", "-p", str(port), "-n", "200000", "-P", "8", "-t", "set", "-d", "100", "-r", "10000", "--csv"],
                          capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    return float(re.search(r'"SET","([0-9.]+)"', text).group(1))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis_load(pid, port):
    before = cpu_s(pid)
    rate = redis_rate(port)
    return cpu_s(pid) - before, rate


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def redis_table(work):
    if not shutil.which("redis-server"):
        return
    port = 17391
    server = subprocess.Popen(["redis-server", "--port", str(port), "--save", ""], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    print("\n## redis-server under redis-benchmark (200 000 SETs of 100 bytes, 8 at a time)\n")
    print("| tracer | server CPU s | ratio | requests/s | RSS of the tracer |")
    print("|---|---|---|---|---|")
    try:
        redis_load(server.pid, port)
        base, rate = redis_load(server.pid, port)
        print(f"| none | {base:.2f} | 1.00× | {rate:.0f} | – |")
        for name, tracer in wanted(tracers()).items():
            if "memleak," not in name:
                continue
            base, rate = redis_load(server.pid, port)
            log = f"{work}/tracer"
            with open(log, "w") as log_file:
                process = subprocess.Popen(tracer(server.pid), stdout=log_file, stderr=log_file, stdin=subprocess.DEVNULL)
            if not attached(log, process):
                print(f"| {name} | did not attach |")
                continue
            time.sleep(0.5)
            used, rate = redis_load(server.pid, port)
            rss = rss_kib(process.pid)
            end(process)
            print(f"| {name} | {used:.2f} | {used / base:.2f}× | {rate:.0f} | {rss / 1024:.1f} MiB |", flush=True)
    finally:
        end(server, signal.SIGKILL)


def attach_table(work):
    """Attach and detach times as the user sees them, for python3 with many libraries."""
    modules = "ssl,sqlite3,ctypes,decimal,bz2,lzma,curses,readline,json,zlib,hashlib,uuid"
    target = subprocess.Popen(["/usr/bin/python3", "-c", f"import {modules}, time; time.sleep(600)"],
                              stdin=subprocess.DEVNULL)
    time.sleep(1)
    with open(f"/proc/{target.pid}/maps") as maps:
        libraries = len({line.split()[-1] for line in maps if "r-xp" in line and "/" in line})
    whole, detach = [], []
    try:
        for _ in range(5):
            log = f"{work}/tracer"
            start = time.monotonic()
            with open(log, "w") as log_file:
                process = subprocess.Popen([MEMLEAK, "-p", str(target.pid), "60"], stdout=log_file, stderr=log_file,
                                           stdin=subprocess.DEVNULL)
            attached(log, process)
            whole.append(time.monotonic() - start)
            time.sleep(0.3)
            start = time.monotonic()
            end(process)
            detach.append(time.monotonic() - start)
    finally:
        end(target, signal.SIGKILL)
    print(f"\n## Attach and detach (python3 with {libraries} files mapped executable)\n")
    print("| from the start of memleak to \"Attaching\" printed after attach, median | from SIGINT to its end, median |\n|---|---|")
    print(f"| {statistics.median(whole):.2f} s | {statistics.median(detach):.2f} s |")


def huge_table(work):
    """A program of 300 000 functions, 100 MB of code."""
    with open(f"{work}/huge.s", "w") as source:
        for i in range(300000):
            source.write(f".globl f{i}\n.type f{i},@function\nf{i}:\n.cfi_startproc\npush %rbx\n.cfi_def_cfa_offset 16\n"
                         ".cfi_offset 3,-16\nsub $48,%rsp\n.cfi_def_cfa_offset 64\n.skip 320,0x90\nadd $48,%rsp\n"
                         ".cfi_def_cfa_offset 16\npop %rbx\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n"
                         f".size f{i},.-f{i}\n")
        source.write('.section .note.GNU-stack,"",@progbits\n')
    with open(f"{work}/main.c", "w") as source:
        source.write("#include <stdlib.h>\n#include <unistd.h>\nvoid *volatile p;\n"
                     "int main(void) { for (;;) { p = malloc(9); usleep(100000); } }\n")
    subprocess.run(["gcc", "-o", f"{work}/huge", f"{work}/huge.s", f"{work}/main.c"], check=True)
    target = subprocess.Popen([f"{work}/huge"], stdin=subprocess.DEVNULL)
    log = f"{work}/tracer"
    try:
        start = time.monotonic()
        with open(log, "w") as log_file:
            process = subprocess.Popen([MEMLEAK, "-p", str(target.pid), "60"], stdout=log_file, stderr=log_file,
                                       stdin=subprocess.DEVNULL)
        attached(log, process)
        attach_s = time.monotonic() - start
        with open(f"/proc/{process.pid}/status") as status:
            text = status.read()
        peak, now = (int(re.search(rf"{key}:\s+(\d+)", text).group(1)) / 1024 for key in ("VmHWM", "VmRSS"))
        end(process)
    finally:
        end(target, signal.SIGKILL)
    print("\n## Attaching to 100 MB of code, 300 000 functions\n")
    print("| start to attached | peak of the tool's memory | after that |\n|---|---|---|")
    print(f"| {attach_s:.2f} s | {peak:.0f} MiB | {now:.0f} MiB |", flush=True)


def symbolize_table():
    """Names, lines and inlined calls of 1 000 stacks; libraries' debug files only where installed."""
    build_folder = os.path.dirname(MEMLEAK)
    program = shutil.which("redis-server")
    if not program or subprocess.run(["ninja", "-C", build_folder, "bench/symbolize"], stdout=subprocess.DEVNULL,
                                     check=False).returncode:
        return
    libraries = subprocess.run(["ldd", shutil.which("gdb") or program], capture_output=True, text=True, check=False).stdout
    files = [program, *re.findall(r"=> (\S*/lib(?:c\.so|stdc\+\+)\S*)", libraries)]
    print("\n## Symbolizing 1 000 stacks of 20 frames, nearly all different\n", flush=True)
    subprocess.run([f"{build_folder}/bench/symbolize", "1000", "", *files], check=False)


def main():
    with tempfile.TemporaryDirectory() as work:
        build(work)
        cost_table(work)
        redis_table(work)
        attach_table(work)
        huge_table(work)
        symbolize_table()


main()
