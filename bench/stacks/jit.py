# SPDX-License-Identifier: BSD-2-Clause
"""Leaks by cffi from interpreted and (PyPy) from compiled Python."""
import sys

import _cffi_backend

ffi = __import__("cffi").FFI()
ffi.cdef("void *malloc(size_t size); void free(void *block);")
libc = ffi.dlopen(None)


def leak(size):
    return libc.malloc(size)


sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
leak(100003)
for i in range(5000):
    block = leak(64 if i < 4999 else 100019)
    if i < 4999:
        libc.free(block)
print('{"leak":"PyPy, interpreted","size":100003,"frames":[]}')
print('{"leak":"PyPy, compiled","size":100019,"frames":[]}')
