# SPDX-License-Identifier: BSD-2-Clause
"""The tables of the benchmarks, as Markdown."""
from tools import EXACT, SAMPLED

TARGETS = {  # the most that is wanted: (row, tool) → ratio
    ("sqlite", "agent-exact"): 1.10, ("cpython", "agent-exact"): 1.50, ("cpython-objects", "agent-exact"): 1.50,
    ("redis", "agent-exact"): 1.15, ("redis-8", "agent-exact"): 1.15,
}
TARGET_SAMPLED = 1.03  # agent-sampled, real programs
TIGHT_LOOP_NS = 20  # ("tight", "agent-exact"), added


def _times(result):
    mark = "" if result.quiet else " (!)"
    digits = 2 if result.ratio < 10 else 1
    return f"{result.ratio:.{digits}f}× ({result.low:.{digits}f}–{result.high:.{digits}f}){mark}"


def _added(row, result):
    unit = row.unit.split()[0]
    return f"{result.added / row.unit_ns:+.{1 if unit == 'ns' else 2}f} {unit}"


def standing(result, rival, name):
    """Whether a mode is ahead of the best rival; even is when the middle halves of the ratios meet."""
    if result.high < rival.low:
        return "yes"
    return f"**no: {name}**" if result.low > rival.high else f"even with {name}"


def meets(row, tool, result):
    """What was wanted of it, and whether it is so."""
    if (row.key, tool.key) == ("tight", "agent-exact"):
        return f"≤ +{TIGHT_LOOP_NS} ns: {'yes' if result.added <= TIGHT_LOOP_NS else '**no**'}"
    wanted = TARGETS.get((row.key, tool.key))
    if tool.key == "agent-sampled" and row.real:
        wanted = TARGET_SAMPLED
    if wanted:
        return f"≤ {wanted:.2f}×: {'yes' if round(result.ratio, 2) <= wanted else '**no**'}"
    return ""


def cost_header(print_line):
    print_line("## Cost in the target\n")
    print_line("CPU time without and with the tool in turn; medians of pairs, in brackets the middle half of the"
               " ratios; (!): other programs ran throughout.\n")
    print_line("| workload | tool | without | added | a pair | ratio | wanted | pairs kept of |")
    print_line("|---|---|---|---|---|---|---|---|")


def cost_line(row, tool, result, pairs_a_unit):
    ns = f"{result.added / pairs_a_unit:+.1f} ns" if pairs_a_unit else ""
    return (f"| {row.name} | {tool.name} | {result.before / row.unit_ns:.2f} {row.unit} | {_added(row, result)} | {ns} "
            f"| {_times(result)} | {meets(row, tool, result)} | {result.kept} of {result.tried} |")


def failed_line(row, tool, why):
    return f"| {row.name} | {tool.name} | – | did not work: {why} | | | | |"


def _best_rival(results, mode):
    rivals = [(tool.name, result) for tool, result in results if not tool.ours and tool.mode == mode]
    return min(rivals, key=lambda rival: rival[1].ratio, default=(None, None))


def summary(found, print_line, record):
    """@p found: [(row, tool, Result)]. One line a workload: our modes, the best rival of each kind, who is ahead."""
    print_line("\n## Beside every peer\n")
    print_line("| workload | agent, every allocation | best peer of the kind | ahead of every peer? "
               "| agent, sampled | best peer of the kind | ahead of every peer? "
               "| bpf, every allocation | bpf, sampled |")
    print_line("|---|---|---|---|---|---|---|---|---|")
    for row in dict.fromkeys(row for row, _, _ in found):
        results = [(tool, result) for a_row, tool, result in found if a_row is row]
        modes = {tool.key: result for tool, result in results if tool.ours}
        cells = []
        for mode, key in ((EXACT, "agent-exact"), (SAMPLED, "agent-sampled")):
            name, rival = _best_rival(results, mode)
            said = standing(modes[key], rival, name) if rival and key in modes else "–"
            cells += [_times(modes[key]) if key in modes else "–", f"{name} {_times(rival)}" if rival else "–", said]
            record.append({"row": row.key, "mode": key, "best_peer": name, "ahead": said.strip("*")})
        cells += [_times(modes[key]) if key in modes else "–" for key in ("bpf-exact", "bpf-sampled")]
        print_line(f"| {row.name} | " + " | ".join(cells) + " |")


def compare_line(row, tool, old, new, both):
    return (f"| {row.name} | {tool.name} | {_times(old)} | {_times(new)} | {_times(both)} "
            f"| {_added(row, old)} | {_added(row, new)} |")
