# SPDX-License-Identifier: BSD-2-Clause
"""Leaks at every line that comes on its input, always by the same line of its own; from the first
one on it allocates and frees without pause. Says how much it leaked, as truth.h does. Run it with PYTHONMALLOC=malloc."""
import ctypes
import json
import select
import sys

c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
text = json.dumps({"key %d" % i: [i, str(i)] for i in range(40)})


def say(**words):
    print(json.dumps(words), flush=True)


def leak_when_hot():
    for _ in range(23):
        c.malloc(4321)


def heat():
    return len(json.loads(text))


def main():
    say(event="ready")
    times = 0
    while True:
        if times:
            heat()
        if not select.select([sys.stdin], [], [], None if not times else 0)[0]:
            continue
        if not sys.stdin.readline():
            return
        leak_when_hot()
        times += 1
        say(site="leak_when_hot", line=leak_when_hot.__code__.co_firstlineno + 2,
            bytes=times * 23 * 4321, count=times * 23)
        say(event="leaked %d" % times)


main()
