# SPDX-License-Identifier: BSD-2-Clause
"""What a tool costs a program: measured in pairs, see pairs.py."""
import json
import time

import pairs
import short

WINDOW_S = 0.3
LIMIT_S = 13  # for one row and tool on a machine that is never quiet


def _until(wanted, quick):
    return {"wanted": pairs.FEWEST if quick else wanted, "limit_s": LIMIT_S / 2 if quick else LIMIT_S}


def _while_attached(program, tool, work):
    attached = tool.attach(program.pid, work)
    try:
        time.sleep(tool.settle_s)
        window = program.window(WINDOW_S, attached.pid)
    finally:
        text = attached.end()
    if not (_allocations(text) if tool.ours else "@calls: " in text):
        raise RuntimeError("saw no allocation")
    return window


def _allocations(text):
    """Of the last report that memleak --json printed."""
    reports = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(reports[-1])["totals"]["allocs"] if reports else 0


def measure_attached(row, tool, work, quick=False):
    """One process, to which the tool attaches again and again."""
    program = row.start(extra=tool.beside)
    try:
        program.window(WINDOW_S)
        return pairs.summarize(pairs.alternate(lambda: program.window(WINDOW_S),
                                               lambda: _while_attached(program, tool, work),
                                               **_until(tool.pairs, quick)))
    finally:
        program.end()


def window_alone(program, other):
    """A window of one of two processes of which only one runs at a time."""
    program.resume()
    try:
        time.sleep(0.02)
        return program.window(WINDOW_S, *other.own)
    finally:
        program.pause()


def _started_pairs(row, tool, wanted, limit_s):
    plain = row.start(extra=tool.beside)
    try:
        plain.window(WINDOW_S)
        plain.pause()
        traced = row.start(prefix=tool.prefix, extra=tool.environment)
        try:
            traced.window(WINDOW_S, *plain.own)
            traced.pause()
            return pairs.alternate(lambda: window_alone(plain, traced), lambda: window_alone(traced, plain),
                                   wanted, limit_s)
        finally:
            traced.end()
    finally:
        plain.end()


def measure_started(row, tool, quick=False):
    """A process with the tool and one without. Where things happen to lie in memory makes two processes of the
    same program differ by some percent: several of each are measured."""
    until = _until(tool.pairs, quick)
    found = []
    for _ in range(tool.processes):
        found += _started_pairs(row, tool, -(-until["wanted"] // tool.processes), until["limit_s"] / tool.processes)
    return pairs.summarize(found)


def measure(row, tool, work, quick=False):
    """Result, or RuntimeError with the reason why there is none."""
    if short.is_short(row):
        return short.measure(row, tool, work, quick)
    return measure_attached(row, tool, work, quick) if tool.command else measure_started(row, tool, quick)


def pairs_a_unit(row, tool, work):
    """Allocations in one unit of a row's work, counted by @p tool (memleak, every allocation)."""
    if row.unit_ns == 1:
        return 1
    if short.is_short(row):
        return short.pairs_a_unit(row, tool, work)
    program = row.start()
    try:
        attached = tool.attach(program.pid, work)
        try:
            start = program.rounds_done()
            program.window(1.5)
            units = program.rounds_done() - start
        finally:
            text = attached.end()
    finally:
        program.end()
    return _allocations(text) / units


def compare(row, tools, work, quick=False):
    """Two builds on one process, in turn, each beside windows without: (Result of the first, of the second,
    Result of the second beside the first)."""
    if short.is_short(row):
        return short.compare(row, tools, work, quick)
    program = row.start()
    second, both = [], []

    def windows():
        one = _while_attached(program, tools[0], work)
        between = program.window(WINDOW_S)
        two = _while_attached(program, tools[1], work)
        second.append((between, two))
        both.append((one, two))
        return one

    try:
        program.window(WINDOW_S)
        first = pairs.alternate(lambda: program.window(WINDOW_S), windows, **_until(tools[0].pairs, quick))
        return pairs.summarize(first), pairs.summarize(second), pairs.summarize(both)
    finally:
        program.end()
