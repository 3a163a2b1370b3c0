# SPDX-License-Identifier: BSD-2-Clause
"""Leaks by cffi from interpreted and (PyPy) from compiled Python."""
import sys

import cffi

ffi = cffi.FFI()
ffi.cdef("void *malloc(size_t size);")
libc = ffi.dlopen(None)


def leak(size):
    return libc.malloc(size)


sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
leak(100003)
# The loop is machine code soon; it takes the same way each time.
sizes = [64] * 5000
sizes[4900] = 100019
for size in sizes:
    leak(size)
print('{"leak":"PyPy, interpreted","size":100003,"frames":[]}')
print('{"leak":"PyPy, compiled","size":100019,"frames":[]}')
