# SPDX-License-Identifier: BSD-2-Clause
"""How a program's work grows with a second thread, and whether it is as before when a tool has left."""
import contextlib
import time

import costs
import machine
import pairs
import rows


def _in_turn(first, second, wanted):
    return pairs.summarize(pairs.alternate(lambda: costs.window_alone(first, second),
                                           lambda: costs.window_alone(second, first), wanted, costs.LIMIT_S))


@contextlib.contextmanager
def _two(start_first, start_second, tool=None, work=None):
    """Two programs, paused, @p tool at work on each."""
    with contextlib.ExitStack() as stack:
        programs = []
        for start in (start_first, start_second):
            program = start()
            stack.callback(program.end)
            if tool:
                # memleak does not attach to what stands still, and waits for it before it leaves.
                stack.callback(tool.attach(program.pid, work).end)
                stack.callback(program.resume)
            program.pause()
            programs.append(program)
        yield programs


def scaling_table(work, tools, quick, say, record):
    """The work of two threads on two cores beside that of one, by their CPU time a pair."""
    one, two = ((lambda mode=mode: rows.Program([f"{work}/loop", mode], {}, set(machine.CORES), work))
                for mode in ("thread", "threads"))
    say("\n## Two threads beside one, 100 000 live blocks each\n")
    say("| tool | work of two threads / of one | pairs kept of |\n|---|---|---|")
    for tool in [None, *tools]:
        with _two(one, two, tool, work) as programs:
            result = _in_turn(*programs, pairs.FEWEST if quick else 6)
        low, middle, high = (2 / ratio for ratio in (result.high, result.ratio, result.low))
        say(f"| {tool.name if tool else 'none'} | {middle:.2f}× ({low:.2f}–{high:.2f}) "
            f"| {result.kept} of {result.tried} |")
        record.append({"tool": tool.key if tool else None, "two_to_one": middle, "low": low, "high": high})


def afterwards_table(work, chosen_rows, tools, quick, say, record):
    """Beside a process that was never traced: before, and after a tool came and went three times."""
    say("\n## After detaching\n")
    say("| workload | tool | time a unit after / before |\n|---|---|---|")
    wanted = pairs.FEWEST if quick else 6
    for row in chosen_rows:
        for tool in tools:
            with _two(row.start, row.start) as (plain, traced):
                before = _in_turn(plain, traced, wanted)
                traced.resume()
                for _ in range(3):
                    attached = tool.attach(traced.pid, work)
                    time.sleep(0.3)
                    attached.end()
                traced.pause()
                after = _in_turn(plain, traced, wanted)
            low, middle, high = (ratio / before.ratio for ratio in (after.low, after.ratio, after.high))
            say(f"| {row.name} | {tool.name} | {middle:.3f}× ({low:.3f}–{high:.3f}) |")
            record.append({"row": row.key, "tool": tool.key, "after_to_before": middle, "low": low, "high": high})
