# SPDX-License-Identifier: BSD-2-Clause
"""Which tracers see whole stacks: the tables of docs/STACKS.md.

    bench/stacks.py [--tools memleak,ustack,heaptrack,gdb] [--only WORD] [MEMLEAK]

Programs leak at known places (bench/stacks/, and the fixtures of the unwinding tests with -DLEAK) and
print each leak's size and the stack that the C library's backtrace() sees. Each tool then traces each
program. A stack is *right* when every frame from the leak's caller to the outermost one is the truth's;
what cannot call backtrace() (musl, Go, JIT compilers) is compared by the names of its functions.
Needs root, bpftrace, heaptrack, gdb, and the compilers; what is missing is left out.
"""
import collections
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "stacks")
FIXTURE = os.path.join(HERE, "..", "tests", "unit", "unwind", "fixtures", "stacks.c")
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
MUSL = "/usr/lib/x86_64-linux-musl/libc.so"
LIMIT_S = 120
KEPT = 127  # frames that ours and the kernel's helper keep

Case = collections.namedtuple("Case", "name build argv malloc chains")
Stack = collections.namedtuple("Stack", "ips names is_complete end")

# ---- cases -------------------------------------------------------------------------------------

# The program's own functions on each stack, innermost first: where there is no backtrace().
CHAINS = {
    "constructor": "before_main",
    "main": "main",
    "recursion": " ".join(["recurse"] * 61 + ["main"]),
    "alloca": "with_alloca main",
    "variable-length array": "with_array main",
    "realigned frame": "realigned main",
    "realigned frame with an array": "realigned_with_array main",
    "100 KiB frame": "large_frame main",
    "called from a .cold part": "rare mostly_hot main",
    "arguments on the stack": "many_arguments main",
    "qsort callback": "compare sort_numbers main",
    "signal handler": "on_signal signals main",
    "signal handler on its own stack": "on_signal signals main",
    "thread": "thread",
    "pthread_once": "once thread",
    "destructor of thread-specific data": "at_thread_end",
    "makecontext coroutine": "coroutine",
    "atexit": "after_main",
}
GO = {
    "Go: main through cgo": "main.leakHere main.descend main.main runtime.main",
    "Go: goroutine through cgo": "main.leakHere main.inGoroutine runtime.goexit.abi0",
    "Go: Go called from C called from Go": "main.leakHere runtime.cgocallbackg main.throughC main.main runtime.main",
}
LUA = {name: "lua_pcall main" for name in ("LuaJIT, interpreted", "LuaJIT, compiled")}
PYPY = {name: "pypy_main_startup" for name in ("PyPy, interpreted", "PyPy, compiled")}
NODE = {"node, interpreted": "leak node::Start",
        "node, compiled": "leak hot node::Start"}


def fixture(name, compiler, *flags, malloc=LIBC, chains=None, post=None):
    language = "c++" if "++" in compiler else "c"

    def build(path):
        subprocess.run([compiler, "-x", language, "-DLEAK", "-I", CASES, "-pthread", "-w", *flags,
                        "-o", path, FIXTURE], check=True, capture_output=True)
        if post:
            post(path)
        return [path]
    return Case(name, build, None, malloc, chains or {})


def program(name, *command, extra=None, malloc=LIBC, chains=None):
    """@command makes OUT of the case's source."""
    def build(path):
        words = [word.replace("OUT", path).replace("HERE", CASES) for word in " ".join(command).split()]
        for step in " ".join(words).split(" && "):
            subprocess.run(step.split(), check=True, capture_output=True, cwd=os.path.dirname(path),
                           env=dict(os.environ, GOCACHE=os.path.dirname(path) + "/go"))
        return [path] + [word.replace("OUT", path) for word in (extra or [])]
    return Case(name, build, None, malloc, chains or {})


def script(name, interpreter, *words, chains=None):
    """@words run as they are; a JIT compiler's files are left in the working folder."""
    return Case(name, lambda path: [interpreter, *[word.replace("HERE", CASES) for word in words]],
                None, LIBC, chains or {})


def drop_section_headers(path):
    with open(path, "r+b") as elf:
        elf.seek(0x28)
        elf.write(bytes(8))  # e_shoff
        elf.seek(0x3c)
        elf.write(bytes(4))  # e_shnum, e_shstrndx


def strip(path):
    subprocess.run(["strip", path], check=True)


NO_FP = "-fomit-frame-pointer"
NO_CFI = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
RUST = "gcc -O2 -c HERE/rust_leak.c -o OUT.o && rustc -O -C link-arg=OUT.o -o OUT HERE/rust.rs"


def cases():
    return [
        fixture("gcc -O0", "g++", "-O0"),
        fixture("gcc -O1", "g++", "-O1", NO_FP),
        fixture("gcc -O2", "g++", "-O2", NO_FP),
        fixture("gcc -O3", "g++", "-O3", "-march=native", NO_FP),
        fixture("gcc -Os", "g++", "-Os", NO_FP),
        fixture("clang -O2", "clang++", "-O2", NO_FP),
        fixture("gcc -O2 -fno-omit-frame-pointer", "g++", "-O2", "-fno-omit-frame-pointer"),
        fixture("C, no CFI but frame pointers", "gcc", "-O2", "-fno-omit-frame-pointer", "-DNO_TRUTH",
                *NO_CFI, chains=CHAINS),
        fixture("C, no CFI, no frame pointers", "gcc", "-O2", NO_FP, "-DNO_TRUTH", *NO_CFI, chains=CHAINS),
        fixture("C, .debug_frame only", "gcc", "-O2", "-g", NO_FP, "-DNO_TRUTH", *NO_CFI, chains=CHAINS),
        fixture("C, .debug_frame only, compressed", "gcc", "-O2", "-g", NO_FP, "-DNO_TRUTH", *NO_CFI,
                "-gz=zlib", chains=CHAINS),
        fixture("no .eh_frame_hdr", "gcc", "-O2", NO_FP, "-DNO_TRUTH", "-Wl,--no-eh-frame-hdr", chains=CHAINS),
        fixture("no section headers", "g++", "-O2", NO_FP, post=drop_section_headers),
        fixture("stripped", "g++", "-O2", NO_FP, post=strip),
        fixture("-z lazy", "g++", "-O2", NO_FP, "-Wl,-z,lazy"),
        fixture("-z now", "g++", "-O2", NO_FP, "-Wl,-z,now"),
        fixture("-fno-plt", "g++", "-O2", NO_FP, "-fno-plt"),
        fixture("IBT (-z ibtplt)", "g++", "-O2", NO_FP, "-fcf-protection=full", "-Wl,-z,ibtplt", "-Wl,-z,lazy"),
        fixture("non-PIE", "g++", "-O2", NO_FP, "-no-pie"),
        fixture("gold", "g++", "-O2", NO_FP, "-fuse-ld=gold"),
        fixture("lld", "g++", "-O2", NO_FP, "-fuse-ld=lld"),
        fixture("mold", "g++", "-O2", NO_FP, "-fuse-ld=mold"),
        fixture("static", "g++", "-O2", NO_FP, "-static", malloc=None),
        fixture("static-pie", "g++", "-O2", NO_FP, "-static-pie", malloc=None),
        fixture("musl", "musl-gcc", "-O2", malloc=MUSL, chains=CHAINS),
        fixture("musl, static", "musl-gcc", "-O2", "-static", malloc=None, chains=CHAINS),
        program("runtime", "g++ -std=c++20 -O2 -fomit-frame-pointer -rdynamic -o OUT HERE/runtime.cc && "
                "gcc -O2 -fPIC -shared -fomit-frame-pointer -Wl,-z,lazy -o OUT.so HERE/late.c",
                extra=["OUT.so"]),
        program("Boost.Context", "g++ -O2 -fomit-frame-pointer -o OUT HERE/fiber.cc -lboost_context"),
        program("libcrypto", "gcc -O2 -fomit-frame-pointer -o OUT HERE/assembly.c -lcrypto"),
        program("Rust", RUST),
        program("Go", "go build -o OUT HERE/cgo.go", chains=GO),
        script("LuaJIT", "luajit", "HERE/jit.lua", chains=LUA),
        script("PyPy", "pypy3", "HERE/jit.py", chains=PYPY),
        script("node", "node", "--perf-basic-prof", "--interpreted-frames-native-stack", "HERE/jit.js",
               chains=NODE),
    ]


# ---- running -----------------------------------------------------------------------------------


def truth_of(text):
    """Size → (name, frames) of the leaks that @text tells."""
    told = {}
    for line in text.splitlines():
        if line.startswith('{"leak"'):
            leak = json.loads(line)
            told[leak["size"]] = (leak["leak"], leak["frames"])
    return told


class Held:
    """A program that stands at its leak_ready() until it is let go."""

    def __init__(self, argv, work):
        self.out = os.path.join(work, "held.out")
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, cwd=work,
                                            stderr=subprocess.DEVNULL)
        wait_for(lambda: "ready" in self.text() or self.process.poll() is not None)

    def text(self):
        with open(self.out, encoding="utf-8", errors="replace") as text:
            return text.read()

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def end(self):
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_for(condition, limit_s=LIMIT_S):
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def plain(symbol):
    """A function's name without its arguments and parts (.cold, .isra.0)."""
    return re.sub(r" \[.*|\(.*|(\.(cold|part\.\d+|isra\.\d+|constprop\.\d+|lto_priv\.\d+))+$", "", symbol or "")


def by_memleak(memleak, case, argv, work):
    """Both truth and stacks come from one run; it starts the program itself."""
    path = os.path.join(work, "report.json")
    run = subprocess.run([memleak, "--json", "-a", "-T", "100000", "-w", path, "1", "--", *argv], input=b"\n",
                         capture_output=True, timeout=LIMIT_S, cwd=work, check=False)
    text = run.stdout.decode(errors="replace")
    with open(path, encoding="utf-8") as lines:
        reports = [json.loads(line) for line in lines]
    stacks = {}
    # An earlier report may have names that are gone with the process (perf maps).
    for site in [site for report in reports for site in report["sites"]]:
        frames = [frame for frame in site["frames"] if not frame["inlined"]]
        names = [plain(frame["symbol"]) for frame in site["frames"]]
        stack = Stack([int(frame["ip"], 16) for frame in frames], names,
                      site["stack_end"] == "complete", site["stack_end"])
        for block in site["allocations"]:
            known = stacks.get(block["size"])
            if not known or known.names.count("") >= names.count(""):
                stacks[block["size"]] = stack
    return truth_of(text), stacks


BPFTRACE = """uprobe:PATH:malloc /arg0 >= 100003 && arg0 < 120000/ { @size[tid] = arg0; }
interval:ms:500 { printf("tick\\n"); }
uretprobe:PATH:malloc /@size[tid]/ { printf("stack %d\\n%s\\nend\\n", @size[tid], ustack(perf, 127)); delete(@size[tid]); }
"""


def by_ustack(memleak, case, argv, work):
    """bpf_get_stack() as bpftrace calls it, by process."""
    held = Held(argv, work)
    path = os.path.join(work, "ustack.out")
    text = BPFTRACE.replace("PATH", case.malloc or argv[0])
    with open(path, "wb") as out:
        tracer = subprocess.Popen(["bpftrace", "-p", str(held.process.pid), "-e", text], stdout=out,
                                  stderr=subprocess.STDOUT)

    def output():
        with open(path, encoding="utf-8", errors="replace") as lines:
            return lines.read()
    # It says "Attaching" before it does it; the interval is attached with the rest.
    wait_for(lambda: output().count("tick") >= 2 or tracer.poll() is not None)
    held.go()
    held.end()
    stop(tracer)
    stacks = {}
    for size, body in re.findall(r"^stack (\d+)\n(.*?)^end$", output(), re.S | re.M):
        frames = re.findall(r"^\s*([0-9a-f]+)\s+(\S+)", body, re.M)
        stacks[int(size)] = Stack([int(ip, 16) for ip, _ in frames],
                                  [plain(name.rpartition("+")[0]) for _, name in frames], None, None)
    return truth_of(held.text()), stacks


def by_heaptrack(memleak, case, argv, work):
    """Its frames are the addresses of the calls, that is the return addresses less one."""
    if case.malloc != LIBC:
        raise OSError("heaptrack is preloaded, which needs a dynamic glibc")
    raw = os.path.join(work, "heaptrack")
    run = subprocess.run(["heaptrack", "-r", "-o", raw, *argv], input=b"\n", capture_output=True,
                         timeout=LIMIT_S, cwd=work, check=False)
    found = [name for name in os.listdir(work) if name.startswith("heaptrack")]
    stacks, traces, open_sizes = {}, [(0, 0)], {}
    for name in found:
        path = os.path.join(work, name)
        reader = {"gz": ["zcat"], "zst": ["zstdcat"]}.get(name.rpartition(".")[2], ["cat"])
        lines = subprocess.run(reader + [path], capture_output=True, check=False).stdout.decode(errors="replace")
        os.unlink(path)
        for line in lines.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "t":
                traces.append((int(words[1], 16), int(words[2], 16)))
            elif len(words) >= 3 and words[0] == "+":
                open_sizes[int(words[1], 16)] = int(words[2], 16)
    for size, trace in open_sizes.items():
        ips = []
        while trace and trace < len(traces):
            ips.append(traces[trace][0] + 1)
            trace = traces[trace][1]
        stacks[size] = Stack(ips, [], None, None)
    return truth_of(run.stdout.decode(errors="replace")), stacks


GDB = """
import gdb
gdb.execute("set pagination off")
gdb.execute("set breakpoint pending on")
gdb.execute("set backtrace past-main on")
gdb.execute("handle SIGUSR1 SIGUSR2 SIGALRM SIGPROF SIGURG nostop noprint pass")
gdb.execute("break leak_told")
gdb.execute("run < /dev/null")
try:
    while gdb.selected_inferior().pid:
        pcs, names, frame = [], [], gdb.newest_frame()
        while frame and len(pcs) < 400:
            if frame.type() != gdb.INLINE_FRAME:
                pcs.append(frame.pc())
            names.append(frame.name() or "")
            reason, frame = frame.unwind_stop_reason(), frame.older()
        print("\\nBT", __import__("json").dumps([pcs, names, reason]), flush=True)
        gdb.execute("continue")
except gdb.error:
    pass
"""


def by_gdb(memleak, case, argv, work):
    with open(os.path.join(work, "bt.py"), "w", encoding="ascii") as script_file:
        script_file.write(GDB)
    run = subprocess.run(["gdb", "-batch", "-nx", "-x", "bt.py", "--args", *argv], capture_output=True,
                         timeout=LIMIT_S, cwd=work, check=False, stdin=subprocess.DEVNULL)
    told, stacks, last = {}, {}, None
    for line in run.stdout.decode(errors="replace").splitlines():
        if '{"leak"' in line:
            told.update(truth_of(line[line.index('{"leak"'):]))
            last = max(told)
        elif line.startswith("BT ") and last:
            pcs, names, _ = json.loads(line[3:])
            # frame 0 is leak_told(), frame 1 leak_here()
            stacks[last] = Stack(pcs[1:], [plain(name) for name in names[1:]], None, None)
    return told, stacks


# ---- judging -----------------------------------------------------------------------------------


def is_in_order(names, wanted):
    rest = iter(names)
    return all(any(name == want or re.match(r"JS:[~*^+]*%s\b" % re.escape(want), name) or want in name.split("::")
                   for name in rest) for want in wanted.split())


def own_chain(names, wanted):
    """The program's own functions, in order and no more of them than there are."""
    known = {word for chain in CHAINS.values() for word in chain.split()}
    return [name for name in names if name in known] == wanted.split()


def is_right(case, name, frames, stack):
    if not frames:
        wanted = case.chains.get(name)
        if wanted is None:
            return None
        if name in CHAINS:
            return own_chain(stack.names, wanted) and stack.is_complete is not False
        return is_in_order(stack.names, wanted) and stack.is_complete is not False
    # A tool that gives the frames of the allocator too: begin where the truth does.
    start = stack.ips.index(frames[1]) if frames[1] in stack.ips else None
    if start is None:
        return False
    truth = frames[1:]
    # An interrupted instruction is no call: some tools give it as it is.
    seen = [ip if index >= len(truth) or ip - truth[index] != 1 else truth[index]
            for index, ip in enumerate(stack.ips[start:])]
    if len(truth) > KEPT - 2:
        return seen[:len(truth)] == truth[:len(seen)] and len(seen) >= KEPT - 2
    return seen == truth


def judge(case, truth, stacks):
    """(leak name → right?, complete?) of one tool."""
    verdicts = collections.OrderedDict()
    for size, (name, frames) in sorted(truth.items()):
        stack = stacks.get(size)
        if stack is None:
            verdicts.setdefault(name, []).append((False, "not seen"))
        else:
            verdicts.setdefault(name, []).append((is_right(case, name, frames, stack),
                                                  stack.end or "%d frames" % len(stack.ips)))
    return verdicts


TOOLS = collections.OrderedDict(
    memleak=by_memleak, ustack=by_ustack, heaptrack=by_heaptrack, gdb=by_gdb)
TITLES = {"memleak": "memleak", "ustack": "`bpf_get_stack` (bpftrace)", "heaptrack": "heaptrack", "gdb": "gdb `bt`"}


def run_case(case, tools, memleak):
    with tempfile.TemporaryDirectory(prefix="stacks-") as work:
        try:
            argv = case.build(os.path.join(work, "program"))
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print("left out: %s: %s" % (case.name, error), file=sys.stderr)
            return {}
        results = {}
        for tool in tools:
            try:
                truth, stacks = TOOLS[tool](memleak, case, argv, work)
                results[tool] = judge(case, truth, stacks) if truth else None
            except (subprocess.TimeoutExpired, OSError, ValueError) as error:
                print("%s: %s: %s" % (case.name, tool, error), file=sys.stderr)
                results[tool] = None
        return results


def cell(verdicts):
    if verdicts is None:
        return "does not run"
    flat = [right for told in verdicts.values() for right, _ in told]
    return "%d of %d" % (sum(1 for right in flat if right), len(flat))


def report_wrong(case, results):
    for tool, verdicts in results.items():
        for name, told in (verdicts or {}).items():
            wrong = collections.Counter(end for right, end in told if not right)
            if wrong:
                print("  %s: %s: %s: %s" % (case.name, tool, name, dict(wrong)), file=sys.stderr)


def print_tables(rows, tools):
    print("| program | " + " | ".join(TITLES[tool] for tool in tools) + " |")
    print("|---|" + "---|" * len(tools))
    for case, results in rows:
        print("| %s | %s |" % (case.name, " | ".join(cell(results.get(tool)) for tool in tools)))
    print("\n| stack (gcc -O2, and the programs of one kind) | " + " | ".join(TITLES[tool] for tool in tools) + " |")
    print("|---|" + "---|" * len(tools))
    for case, results in rows:
        if case.name not in ("gcc -O2", "runtime", "Boost.Context", "libcrypto", "Rust", "Go", "LuaJIT", "PyPy", "node"):
            continue
        for name in next((list(verdicts) for verdicts in results.values() if verdicts), []):
            marks = []
            for tool in tools:
                told = (results.get(tool) or {}).get(name)
                right = sum(1 for ok, _ in told if ok) if told else 0
                marks.append("–" if not told else "yes" if right == len(told) else
                             "no (%s)" % told[0][1] if len(told) == 1 else "%d of %d" % (right, len(told)))
            print("| %s | %s |" % (name, " | ".join(marks)))


def main():
    arguments = sys.argv[1:]
    options = {"--tools": ",".join(TOOLS), "--only": ""}
    while len(arguments) > 1 and arguments[0] in options:
        options[arguments[0]] = arguments[1]
        arguments = arguments[2:]
    memleak = os.path.abspath(arguments[0] if arguments else "build/memleak")
    programs = {"ustack": "bpftrace", "heaptrack": "heaptrack", "gdb": "gdb"}
    tools = [tool for tool in options["--tools"].split(",")
             if tool == "memleak" or shutil.which(programs[tool])]
    rows = []
    for case in cases():
        if options["--only"] not in case.name:
            continue
        results = run_case(case, tools, memleak)
        if results:
            rows.append((case, results))
            report_wrong(case, results)
    print_tables(rows, tools)


if __name__ == "__main__":
    main()
