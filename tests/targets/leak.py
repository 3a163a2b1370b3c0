# SPDX-License-Identifier: BSD-2-Clause
"""Leaks from Python in the ways there are: by ctypes (without the interpreter's lock), by a growing
list, in a generator, in a callback from C, in a thread. Prints what
and where, as truth.h does. With a path it ends only when a file of that name is there."""
import ctypes
import json
import os
import sys
import threading
import time

c = ctypes.CDLL(None)
c.strdup.restype = ctypes.c_void_p
c.malloc.restype = ctypes.c_void_p
kept = []


def say(**words):
    print(json.dumps(words), flush=True)


def site(function, line, size, count):
    say(site=function, line=line, bytes=size * count, count=count)


def leak_strings():
    for _ in range(10):
        c.strdup(b"x" * 999)


def leak_list():
    held = []
    for _ in range(50000):
        held.append(None)
    kept.append(held)


class Holder:
    def leak_in_method(self):
        for _ in range(3):
            c.malloc(4321)


def leak_in_generator():
    for _ in range(5):
        yield c.malloc(777)


def consume():
    return list(leak_in_generator())


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def leak_in_callback(_left, _right):
    c.malloc(1234)
    return 0


def sort():
    c.qsort((ctypes.c_int * 2)(2, 1), 2, 4, leak_in_callback)


def leak_in_thread():
    for _ in range(4):
        c.malloc(5555)


def line_of(function, text):
    """The line of @function that has @text."""
    with open(__file__, encoding="utf-8") as lines:
        return next(number for number, line in enumerate(lines, 1)
                    if number > function.__code__.co_firstlineno and text in line)


def main():
    say(event="ready")
    sys.stdin.readline()
    leak_strings()
    leak_list()
    Holder().leak_in_method()
    consume()
    sort()
    thread = threading.Thread(target=leak_in_thread)
    thread.start()
    thread.join()
    site("leak_strings", line_of(leak_strings, "strdup"), 1000, 10)
    site("Holder.leak_in_method", line_of(Holder.leak_in_method, "malloc"), 4321, 3)
    site("leak_in_generator", line_of(leak_in_generator, "malloc"), 777, 5)
    site("leak_in_callback", line_of(sort, "qsort") - 5, 1234, 1)
    site("leak_in_thread", line_of(leak_in_thread, "malloc"), 5555, 4)
    say(value="list_line", **{"is": line_of(leak_list, "append")})
    say(event="done")
    sys.stdin.readline()
    while len(sys.argv) > 1 and not os.path.exists(sys.argv[1]):
        time.sleep(0.05)


main()
