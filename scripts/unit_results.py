# SPDX-License-Identifier: BSD-2-Clause
"""Turns meson's testlog.json into lines "passed|failed|skipped SUITE/NAME: CASE", one a TAP case.

A test program that crashed or was stopped counts as one more failure.
"""
import json
import re
import sys

TAP = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*([^#]*)(#\s*(skip|todo)\b.*)?$", re.IGNORECASE)


def program_results(test):
    """Yields (outcome, case) of one test program."""
    failed = False
    for line in (test.get("stdout") or "").splitlines():
        match = TAP.match(line.strip())
        if not match:
            continue
        outcome = "failed" if match.group(1) else "passed"
        if match.group(3):
            outcome = "skipped"
        failed = failed or outcome == "failed"
        yield outcome, match.group(2).strip()
    if test.get("result") not in ("OK", "SKIP") and not failed:
        yield "failed", "the program ended with %s" % test.get("result")


def main(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            tests = [json.loads(line) for line in log if line.strip()]
    except (OSError, ValueError) as error:
        print("failed unit tests: %s" % error)
        return
    if not tests:
        print("failed unit tests: no test program ran")
    for test in tests:
        for outcome, case in program_results(test):
            print(outcome, "%s: %s" % (test["name"], case))


main(sys.argv[1])
