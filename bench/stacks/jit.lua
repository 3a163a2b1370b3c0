-- SPDX-License-Identifier: BSD-2-Clause
-- Leaks by the FFI from interpreted and from compiled Lua.
local ffi = require("ffi")
ffi.cdef("void *malloc(size_t size);")

local function leak(size)
	return ffi.C.malloc(size)
end

io.write("ready\n")
io.flush()
io.read("*l")
jit.off()
leak(100003)
jit.on()
-- The loop is machine code soon; it takes the same way each time.
local sizes = {}
for i = 1, 1000 do
	sizes[i] = i == 900 and 100019 or 64
end
for i = 1, 1000 do
	leak(sizes[i])
end
io.write('{"leak":"LuaJIT, interpreted","size":100003,"frames":[]}\n')
io.write('{"leak":"LuaJIT, compiled","size":100019,"frames":[]}\n')
