# SPDX-License-Identifier: BSD-2-Clause
"""The machine while something is measured: cores, CPU time of processes, what else ran."""
import os
import resource
import time

# The harness, the tools and the load run on the first core, what is measured on the last one.
CORES = sorted(os.sched_getaffinity(0))
TOOL_CORES = {CORES[0]}
TARGET_CORES = {CORES[-1]}

# From this share of one core on, other programs count as having disturbed.
BUSY_SHARE = 0.10


def threads(pid):
    try:
        return [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def pin(pid, cores):
    for tid in threads(pid):
        try:
            os.sched_setaffinity(tid, cores)
        except ProcessLookupError:
            pass


def cpu_ns(pid):
    """CPU time of a process with its ended threads, to the nanosecond; 0 when it is gone."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)  # CPUCLOCK_SCHED of the process, see clock_getcpuclockid(3)
    except OSError:
        return 0


def family(pid):
    """A process and its descendants, parents first."""
    found = [pid]
    for parent in found:
        for tid in threads(parent):
            try:
                with open(f"/proc/{parent}/task/{tid}/children", encoding="ascii") as children:
                    found += [int(child) for child in children.read().split()]
            except OSError:
                pass
    return found


def memory_kib(pid, key="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    return 0


def _own_ns():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(int((part.ru_utime + part.ru_stime) * 1e9) for part in usage)


def _idle_and_stolen_ns():
    """Of all cores together. Idle time is kept exactly, busy time only by ticks."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(field) for field in stat.readline().split()[1:]]
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    return (fields[3] + fields[4]) * tick_ns, fields[7] * tick_ns


class Disturbance:
    """What other programs used of the machine between its creation and end(), in cores."""

    def __init__(self, *pids):
        self.pids = pids
        self.start_ns = time.monotonic_ns()
        self.idle_ns, self.stolen_ns = _idle_and_stolen_ns()
        self.ours_ns = self._ours_ns()

    def _ours_ns(self):
        return _own_ns() + sum(cpu_ns(pid) for pid in self.pids)

    def end(self):
        wall_ns = max(time.monotonic_ns() - self.start_ns, 1)
        idle_ns, stolen_ns = _idle_and_stolen_ns()
        busy_ns = wall_ns * os.cpu_count() - (idle_ns - self.idle_ns)
        other_ns = busy_ns - (self._ours_ns() - self.ours_ns)
        # What the hypervisor took hurts more than a neighbour does.
        return max(0, other_ns + 5 * (stolen_ns - self.stolen_ns)) / wall_ns


def describe_load(seconds=2.0):
    """A sentence about the machine before the run, and whether it was quiet."""
    disturbance = Disturbance()
    time.sleep(seconds)
    other = disturbance.end()
    with open("/proc/loadavg", encoding="ascii") as loadavg:
        load = loadavg.read().split()[0]
    quiet = other < BUSY_SHARE
    text = f"{os.cpu_count()} cores, load {load}, other programs use {100 * other:.0f} % of a core"
    return text + ("" if quiet else ": NOT QUIET, figures may be off"), quiet
