# SPDX-License-Identifier: BSD-2-Clause
"""A Python program with one list that only grows and one cache that is bounded."""
import functools
import random
import time

history = []


def leak_in_python(i):
    history.append(bytearray(700 + i % 7))


@functools.lru_cache(maxsize=300)
def cache_in_python(key):
    return bytearray(900 + key % 5)


print("ready", flush=True)
input()
i = 0
while True:
    leak_in_python(i)
    for _ in range(10):
        cache_in_python(random.randrange(2000))
    i += 1
    time.sleep(0.05)
