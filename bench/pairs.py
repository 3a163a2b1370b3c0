# SPDX-License-Identifier: BSD-2-Clause
"""A figure without and with a tool, in turn (A B A B ... A): each B is compared with the As beside it.

What slows the machine for minutes slows an A and its B alike, so the ratios of pairs are far steadier
than the figures. Pairs during which other programs ran are left out when there are enough others.
"""
import dataclasses
import statistics
import time

import machine

FEWEST = 3  # pairs a result is made of, however busy the machine is


@dataclasses.dataclass
class Window:
    value: float  # CPU time of one unit of work, or any other figure
    other: float  # cores other programs used meanwhile


@dataclasses.dataclass
class Result:
    before: float
    during: float
    added: float
    ratio: float
    low: float  # ratio, 25th percentile
    high: float  # 75th
    kept: int
    tried: int
    quiet: bool  # no other program ran while the kept pairs were measured


def _quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def summarize(pairs):
    """@p pairs: (Window without, Window with)."""
    by_noise = sorted(pairs, key=lambda pair: max(window.other for window in pair))
    quiet = [pair for pair in pairs if max(window.other for window in pair) < machine.BUSY_SHARE]
    # On a machine that is never quiet, the quieter half says most.
    kept = quiet if len(quiet) >= FEWEST else by_noise[:max(FEWEST, len(pairs) // 2)]
    ratios = [during.value / before.value for before, during in kept]
    low, high = _quartiles(ratios)
    return Result(before=statistics.median(before.value for before, _ in kept),
                  during=statistics.median(during.value for _, during in kept),
                  added=statistics.median(during.value - before.value for before, during in kept),
                  ratio=statistics.median(ratios), low=low, high=high,
                  kept=len(kept), tried=len(pairs), quiet=len(quiet) >= FEWEST)


def is_enough(pairs, wanted):
    return sum(max(window.other for window in pair) < machine.BUSY_SHARE for pair in pairs) >= wanted


def alternate(without, between, wanted, limit_s):
    """Calls without() → Window and between() → Window in turn until @p wanted undisturbed pairs are there,
    or @p limit_s have passed and there are as many, or the fewest that will do, disturbed or not.
    Returns what summarize() takes."""
    deadline = time.monotonic() + limit_s
    pairs = []
    before = without()
    while not is_enough(pairs, wanted):
        during = between()
        after = without()
        pairs.append((Window((before.value + after.value) / 2, max(before.other, after.other)), during))
        before = after
        if time.monotonic() > deadline and len(pairs) >= min(wanted, FEWEST):
            break
    return pairs
