# SPDX-License-Identifier: BSD-2-Clause
"""What is compared: memleak's own modes and other tools, those that attach and those that start the program."""
import dataclasses
import os
import shutil
import signal
import subprocess
import time

LIBRARIES = "/usr/lib/x86_64-linux-gnu"

# What bcc's memleak does, as far as one script can.
BPFTRACE = """
uprobe:LIBRARY:malloc { @calls = count(); @size[tid] = arg0; }
uretprobe:LIBRARY:malloc /@size[tid]/ {
  @live[retval] = @size[tid]; @stack[retval] = ustack(); delete(@size[tid]); }
uprobe:LIBRARY:free { delete(@live[arg0]); delete(@stack[arg0]); }
"""

EXACT, SAMPLED = "every allocation", "sampled"


class Attached:
    """A tool at work on a process."""

    def __init__(self, command, work, limit_s=60):
        self.log = f"{work}/tool{time.monotonic_ns()}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        try:
            self._wait(limit_s)
        except BaseException:
            self.end()
            raise

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _wait(self, limit_s):
        """Until the tool says that it has attached."""
        deadline = time.monotonic() + limit_s
        while "Attach" not in self.text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("does not attach: " + self.text()[-200:].strip())
            time.sleep(0.005)

    def end(self):
        """Returns what the tool has printed, its report included."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        text = self.text()
        os.unlink(self.log)
        return text


def allocator_of(pid):
    """The library whose malloc a process calls."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        files = {line.split()[-1] for line in maps if "r-xp" in line}
    return next(path for name in ("libjemalloc", "libc.so") for path in files if name in path)


@dataclasses.dataclass
class Tool:
    key: str
    name: str
    mode: str  # EXACT or SAMPLED
    ours: bool = False
    command: list = None  # for a process that runs, its pid follows
    prefix: list = dataclasses.field(default_factory=list)  # else: what starts the program
    environment: dict = dataclasses.field(default_factory=dict)
    beside: dict = dataclasses.field(default_factory=dict)  # environment of the program without the tool
    pairs: int = 8  # undisturbed ones wanted
    processes: int = 1  # of a tool that starts the program: so many are measured
    settle_s: float = 0.15  # after attaching, before measuring
    usual: bool = True  # else only when it is named

    def attach(self, pid, work):
        """Returns when it has attached."""
        if self.ours:
            return Attached([*self.command, "-p", str(pid), "600"], work)
        return Attached([*self.command, "-p", str(pid), "-e",
                         BPFTRACE.replace("LIBRARY", allocator_of(pid))], work)


def ours(memleak):
    modes = (("exact", EXACT, []), ("sampled", SAMPLED, ["--sample-bytes", "524288"]))
    return [Tool(f"{backend}-{key}", f"memleak, {backend}, {mode}", mode, ours=True,
                 command=[memleak, "--backend", backend, "--json", *options], pairs=8 if backend == "agent" else 3)
            for backend in ("agent", "bpf") for key, mode, options in modes]


def own_libraries(work):
    """Copies of the allocators for programs that are to share none with the rest of the machine."""
    folder = f"{work}/own"
    os.makedirs(folder, exist_ok=True)
    for name in ("libc.so.6", "libjemalloc.so.2"):
        if os.path.exists(f"{LIBRARIES}/{name}"):
            shutil.copy(f"{LIBRARIES}/{name}", folder)
    return {"LD_LIBRARY_PATH": folder}


def peers(work):
    """Those that are installed."""
    found = []
    if shutil.which("heaptrack"):
        # Raw: what its interpreter does it does elsewhere, and of cc1plus that does not work (bad_alloc).
        found.append(Tool("heaptrack", "heaptrack", EXACT, pairs=6, processes=2,
                          prefix=["heaptrack", "--raw", "-o", f"{work}/heaptrack"]))
    lsan = f"{LIBRARIES}/liblsan.so.0"
    if os.path.exists(lsan):
        found += [Tool("lsan", "LeakSanitizer, preloaded", EXACT, pairs=8, processes=4,
                       environment={"LD_PRELOAD": lsan, "LSAN_OPTIONS": "detect_leaks=0"}),
                  # Its default stacks end where frame pointers do; these are whole.
                  Tool("lsan-slow", "LeakSanitizer, unwinding", EXACT,
                       environment={"LD_PRELOAD": lsan, "LSAN_OPTIONS": "detect_leaks=0:fast_unwind_on_malloc=0"},
                       pairs=3)]
    tcmalloc = f"{LIBRARIES}/libtcmalloc.so.4"
    if os.path.exists(tcmalloc):
        found.append(Tool("tcmalloc", "tcmalloc, HEAPPROFILE", EXACT, beside={"LD_PRELOAD": tcmalloc}, pairs=4,
                          environment={"LD_PRELOAD": tcmalloc, "HEAPPROFILE": f"{work}/tcmalloc",
                                       # Nothing is written while it runs.
                                       "HEAP_PROFILE_ALLOCATION_INTERVAL": "0", "HEAP_PROFILE_INUSE_INTERVAL": "0"}))
        found.append(Tool("tcmalloc-sampled", "tcmalloc, sampling", SAMPLED, beside={"LD_PRELOAD": tcmalloc},
                          processes=5, pairs=10,
                          environment={"LD_PRELOAD": tcmalloc, "TCMALLOC_SAMPLE_PARAMETER": "524288"}))
    jemalloc = f"{LIBRARIES}/libjemalloc.so.2"
    if os.path.exists(jemalloc):
        found.append(Tool("jemalloc", "jemalloc, prof:true,lg_prof_sample:19", SAMPLED, beside={"LD_PRELOAD": jemalloc},
                          processes=5, environment={"LD_PRELOAD": jemalloc, "MALLOC_CONF":
                                       f"prof:true,prof_active:true,lg_prof_sample:19,prof_prefix:{work}/jemalloc"},
                          pairs=10))
    if shutil.which("valgrind"):
        found += [Tool("memcheck", "valgrind, memcheck", EXACT, pairs=3,
                       prefix=["valgrind", "-q", "--leak-check=full"]),
                  Tool("massif", "valgrind, massif", EXACT, pairs=3, usual=False,
                       prefix=["valgrind", "-q", "--tool=massif", f"--massif-out-file={work}/massif"])]
    if shutil.which("bpftrace"):
        found.append(Tool("bpftrace", "bpftrace, a script of the idea", EXACT, command=["bpftrace"], pairs=3,
                          settle_s=0.7,
                          # Its breakpoints are in every process that maps the library, whatever its -p.
                          beside=own_libraries(work)))
    return found
