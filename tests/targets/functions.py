# SPDX-License-Identifier: BSD-2-Clause
# Allocates in many functions, each with lines of its own: more stacks than a thread remembers.
FUNCTIONS = []
for number in range(300):
    made = {}
    exec("def f(n):\n    return [bytes(200 + n + %d) for _ in range(3)]\n" % number, made)
    FUNCTIONS.append(made["f"])
KEPT = []
for turn in range(20):
    for function in FUNCTIONS:
        KEPT.append(function(turn))
