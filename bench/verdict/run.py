# SPDX-License-Identifier: BSD-2-Clause
"""How good verdicts are: programs whose truth is known (truth.json), and servers under load, watched by
memleak with a report a second. Prints precision, recall and how long each right verdict took.

  run.py build/memleak [--seconds N] [--only NAME,NAME...] [--backend bpf|agent] [--no-servers]

A site belongs to the program whose function stands in its stack. A program of truth "leak" is found when one
of its sites is called a leak; of any other, none may ever be called a leak once what it does can be known
(known_s), and its biggest site must have one of the verdicts that are right.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GROUP = 16  # programs of one process
sys.path.insert(0, HERE)


def compile_programs(work):
    path = os.path.join(work, "programs")
    subprocess.run(["g++", "-O1", "-g", "-pthread", "-o", path, os.path.join(HERE, "programs.cc")], check=True)
    return path


def end(process):
    """Ends a process we started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Watch:
    """memleak on one process, its reports in a file."""

    def __init__(self, memleak, pid, seconds, backend, path, *options):
        self.path = path
        with open(path, "wb") as out, open(path + ".err", "wb") as err:
            self.process = subprocess.Popen(
                [memleak, "--json", "-o", "0", "--backend", backend, *options, "-p", str(pid), "1", str(seconds)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def wait_attached(self):
        """Waits until memleak says that it has attached, or has ended."""
        while self.process.poll() is None:
            with open(self.path + ".err", encoding="utf-8", errors="replace") as err:
                if "Attach" in err.read():
                    return
            try:
                self.process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                pass

    def reports(self, limit_s):
        self.process.wait(timeout=limit_s)
        with open(self.path, encoding="utf-8", errors="replace") as lines:
            found = [json.loads(line) for line in lines if line.startswith("{")]
        if not found:
            with open(self.path + ".err", encoding="utf-8", errors="replace") as err:
                raise RuntimeError("memleak: " + err.read())
        return found


def functions(site):
    return [re.sub(r"\(.*", "", (frame["symbol"] or "").replace("(anonymous namespace)::", ""))
            for frame in site["frames"]]


class Result:
    """What was said of one program."""

    def __init__(self, name, truth):
        self.name, self.truth = name, truth
        self.is_leak = "leak" in truth["right"] and "growing" not in truth["right"]
        self.may_leak = "leak" in truth["right"]
        self.reports = self.right = self.false_leaks = self.leak_calls = 0
        self.since_s = None  # right from then on
        self.last, self.why = "nothing", ""
        self.wrong = []

    def add(self, elapsed_s, sites):
        if not sites:
            # Whatever is freed before a report sees it is no site.
            sites = [{"verdict": "steady", "bytes": 0, "why": "nothing outstanding"}]
        leaks = [site for site in sites if site["verdict"] == "leak"]
        shown = leaks[0] if leaks else max(sites, key=lambda site: site["bytes"])
        self.last, self.why = shown["verdict"], shown["why"]
        is_right = self.last in self.truth["right"]
        if not is_right:
            self.since_s = None
            if elapsed_s >= self.truth["known_s"]:
                self.wrong.append("%.0f s: %s: %s" % (elapsed_s, self.last, self.why))
        elif self.since_s is None:
            self.since_s = elapsed_s
        if elapsed_s < self.truth["known_s"]:
            return
        self.reports += 1
        self.right += is_right
        self.false_leaks += bool(leaks) and not self.may_leak
        self.leak_calls += bool(leaks)


def run_group(memleak, programs, names, truth, arguments, work):
    target = subprocess.Popen([programs] + names, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        watch = Watch(memleak, target.pid, arguments.seconds, arguments.backend, os.path.join(work, names[0]))
        watch.wait_attached()
        target.stdin.write(b"\n")
        target.stdin.flush()
        reports = watch.reports(arguments.seconds * 4 + 60)
    finally:
        target.kill()
        target.wait()
    results = {name: Result(name, truth[name]) for name in names}
    for report in reports:
        sites = {name: [] for name in names}
        for site in report["sites"]:
            found = set(functions(site))
            for name in names:
                if truth[name].get("function", name) in found:
                    sites[name].append(site)
        for name in names:
            results[name].add(report["elapsed_s"], sites[name])
    return list(results.values())


def print_table(results):
    print("| program | right verdicts | said | last verdict | reports right | right for good after |")
    print("|---|---|---|---|---|---|")
    for result in results:
        print("| %s | %s | %s | %s | %.0f %% of %d | %s |" % (
            result.name, ", ".join(result.truth["right"]), result.last, result.why.replace("|", "/"),
            100 * result.right / max(result.reports, 1), result.reports,
            "%.0f s" % result.since_s if result.since_s is not None else "–"))


def print_figures(results):
    """Per program at the last report, and per report from when the truth can be known."""
    print("\nThe last wrong verdicts:\n")
    for result in results:
        for wrong in result.wrong[-3:]:
            print("- %s at %s" % (result.name, wrong))
    leaks = [result for result in results if result.is_leak]
    found = [result for result in leaks if result.last == "leak"]
    called = [result for result in results if result.last == "leak"]
    right = [result for result in called if result.may_leak]
    times = [result.since_s for result in results if result.since_s is not None]
    calls = sum(result.leak_calls for result in results)
    false_calls = sum(result.false_leaks for result in results)
    of_leaks = sum(result.reports for result in leaks)
    print("\n| figure | at the end | over all reports |\n|---|---|---|")
    print("| precision of \"leak\" | %d of %d = %.1f %% | %d of %d = %.1f %% |" % (
        len(right), len(called), 100 * len(right) / max(len(called), 1),
        calls - false_calls, calls, 100 * (calls - false_calls) / max(calls, 1)))
    print("| recall of leaks | %d of %d = %.1f %% | %d of %d = %.1f %% |" % (
        len(found), len(leaks), 100 * len(found) / max(len(leaks), 1),
        sum(result.right for result in leaks), of_leaks,
        100 * sum(result.right for result in leaks) / max(of_leaks, 1)))
    ends = sum(result.last in result.truth["right"] for result in results)
    reports = sum(result.reports for result in results)
    print("| verdict right | %d of %d = %.1f %% | %d of %d = %.1f %% |" % (
        ends, len(results), 100 * ends / len(results),
        sum(result.right for result in results), reports,
        100 * sum(result.right for result in results) / max(reports, 1)))
    print("| bounded ones called a leak | %d | %d |" % (len(called) - len(right), false_calls))
    print("| median time to a right verdict | %.0f s | |" % (statistics.median(times) if times else -1))
    return len(found) >= 0.95 * len(leaks) and len(right) >= 0.95 * len(called) and not false_calls


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("memleak", nargs="?", default="build/memleak")
    parser.add_argument("--seconds", type=int, default=75)
    parser.add_argument("--only", default="")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--no-servers", action="store_true")
    arguments = parser.parse_args()
    memleak = os.path.abspath(arguments.memleak)
    with open(os.path.join(HERE, "truth.json"), encoding="utf-8") as file:
        truth = json.load(file)
    names = [name for name in truth if not arguments.only or name in arguments.only.split(",")]
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(2) as pool:
        programs = compile_programs(work)
        jobs = [pool.submit(run_group, memleak, programs, names[i::(len(names) + GROUP - 1) // GROUP],
                            truth, arguments, work) for i in range((len(names) + GROUP - 1) // GROUP)]
        if not arguments.no_servers and not arguments.only:
            from servers import server_jobs
            jobs += [pool.submit(job, memleak, arguments, work) for job in server_jobs()]
        results = [result for job in jobs for result in job.result()]
    print_table(results)
    return 0 if print_figures(results) else 1


if __name__ == "__main__":
    sys.exit(main())
