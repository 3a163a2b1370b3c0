-- SPDX-License-Identifier: BSD-2-Clause
-- Leaks by the FFI from interpreted and from compiled Lua.
local ffi = require("ffi")
ffi.cdef("void *malloc(size_t size); void free(void *block);")

local function leak(size)
	return ffi.C.malloc(size)
end

io.write("ready\n")
io.flush()
io.read("*l")
jit.off()
leak(100003)
jit.on()
-- Once it is hot, the loop with its calls is machine code; the last one leaks.
for i = 1, 1000 do
	local block = leak(i < 1000 and 64 or 100019)
	if i < 1000 then
		ffi.C.free(block)
	end
end
io.write('{"leak":"LuaJIT, interpreted","size":100003,"frames":[]}\n')
io.write('{"leak":"LuaJIT, compiled","size":100019,"frames":[]}\n')
