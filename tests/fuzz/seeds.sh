#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Writes inputs for the harnesses to start from into folder $1, one folder a harness. What they are
# made of is on every machine that builds memleak: gcc's programs and /proc.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
mkdir -p agent_books cfi code containers debug_file demangle dwarf elf java jitdump mini_debug_info \
	options perf_map proc python_line record split suppressions walk
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# with_byte BYTE FILE: the file behind one byte, given in octal.
with_byte() {
	printf "\\$1"
	cat "$2"
}

# A region with a table of 16 lines, which leads to itself, a block, and a stack of two words.
printf '\200\000\000\100\001\000\000\000\000\000\000\001\001\000\100\001\000\000\000\000\000\000' \
	>agent_books/tables
printf '\002\002\000\001\340\000\200\000\000\000\000\005\003\000\002\000\002\000\000\000\000\000' \
	>agent_books/stack

cat >"$work/program.c" <<'END'
volatile int sink;
static inline __attribute__((always_inline)) int inner(int x)
{
	if (x > 3) {
		int y = sink;
		return y + x;
	}
	return sink - x;
}
static inline __attribute__((always_inline)) int outer(int x) { return inner(x) * inner(x + 1); }
__attribute__((noinline)) int caller(int x) { return outer(x) + (sink ? 1 : outer(3)); }
__attribute__((noinline)) int aligned(int x)
{
	__attribute__((aligned(64))) volatile int y[16];
	y[x & 15] = x;
	return y[3] + caller(x);
}
void _start(void)
{
	sink = caller(1) + aligned(2);
	__builtin_trap();
}
END
small="-nostdlib -static -Wl,-z,noseparate-code -Wl,--build-id=sha1 -fno-pie"
build() {
	local name=$1
	shift
	gcc $small -no-pie "$@" "$work/program.c" -o "$name"
}
build dwarf/gcc-4 -O2 -gdwarf-4
build dwarf/gcc-5 -O2 -gdwarf-5
build dwarf/gcc-O0 -O0 -gdwarf-5
build dwarf/gcc-gz -O2 -gdwarf-5 -gz
build dwarf/gcc-split -O2 -gdwarf-5 -gsplit-dwarf
build dwarf/gcc-split-4 -O2 -gdwarf-4 -gsplit-dwarf
build dwarf/gcc-lines -O2 -g1
# together NAME SECOND FLAG: both files behind the length of the first one.
together() {
	local size
	size=$(($(stat -c %s "$1") | $3))
	printf "\\$(printf %o $((size & 255)))\\$(printf %o $((size >> 8)))"
	cat "$1" "$2"
}
together dwarf/gcc-split dwarf/gcc-split-program.dwo 0 >split/gcc-5
together dwarf/gcc-split-4 dwarf/gcc-split-4-program.dwo 0 >split/gcc-4
command -v llvm-dwp >/dev/null && llvm-dwp -e dwarf/gcc-split -o "$work/dwp" &&
	together dwarf/gcc-split "$work/dwp" 32768 >split/package-5
command -v dwp >/dev/null && dwp -e dwarf/gcc-split-4 -o "$work/dwp" &&
	together dwarf/gcc-split-4 "$work/dwp" 32768 >split/package-4
rm -f dwarf/*.dwo
command -v clang >/dev/null &&
	clang $small -O2 -gdwarf-5 "$work/program.c" -o dwarf/clang-5
build elf/static -O2
build elf/debug_frame -O2 -g -fno-asynchronous-unwind-tables
gcc -shared -nostdlib -fPIC -O2 "$work/program.c" -o elf/shared -Wl,-z,noseparate-code \
	-Wl,--hash-style=both
gcc -shared -nostdlib -fPIC -O2 "$work/program.c" -o elf/stripped -Wl,-z,noseparate-code -s
cp elf/stripped elf/no_sections
printf '\0\0\0\0\0\0\0\0' | dd of=elf/no_sections bs=1 seek=40 conv=notrunc status=none
cp elf/static elf/linked
objcopy --add-gnu-debuglink=dwarf/gcc-5 elf/linked

# Programs without CFI, and some that have an allocator of their own.
cat >"$work/allocator.c" <<'END'
static char pool[1 << 16];
static unsigned long used;
__attribute__((noinline)) void *malloc(unsigned long size)
{
	unsigned long at = __atomic_fetch_add(&used, size, 5);

	return at + size > sizeof(pool) ? 0 : pool + at;
}
void *calloc(unsigned long count, unsigned long size) { return malloc(count * size); }
void *realloc(void *old, unsigned long size)
{
	char *new = malloc(size);

	for (unsigned long i = 0; old && new && i < size; i++)
		new[i] = ((char *)old)[i];
	return new;
}
void free(void *block)
{
	if (block)
		__atomic_fetch_sub(&used, 1, 5);
}
void *operator_new(unsigned long size) __asm__("_Znwm");
void *operator_new(unsigned long size) { return malloc(size); }
void _start(void) { free(realloc(calloc(2, 3), 4)); operator_new(9); }
END
for flags in -O0 -O2 "-O2 -fcf-protection" "-Os -s"; do
	gcc $small -no-pie -fno-builtin -fno-asynchronous-unwind-tables $flags \
		"$work/allocator.c" -o "code/static${flags// /}"
	gcc -shared -nostdlib -fPIC -fno-builtin $flags -Wl,-z,noseparate-code \
		"$work/allocator.c" -o "code/shared${flags// /}"
done

# Sections of CFI: of this small program, and of the C library's start, whose rules are stranger.
section() {
	objcopy --dump-section "$1=$work/frame" "$2" "$work/ignored"
}
section .eh_frame dwarf/gcc-5
with_byte 0 "$work/frame" >cfi/eh_frame
section .debug_frame elf/debug_frame
with_byte 1 "$work/frame" >cfi/debug_frame
section .eh_frame "$(gcc -print-file-name=libc.so.6)"
for skip in 0 20 100; do
	dd if="$work/frame" of="$work/part" bs=1024 skip=$skip count=3 status=none
	with_byte 0 "$work/part" >cfi/libc-$skip
done

objcopy --only-keep-debug -R .comment elf/static "$work/symbols"
with_byte 1 "$work/symbols" >mini_debug_info/packed
xz -c "$work/symbols" >"$work/symbols.xz"
with_byte 0 "$work/symbols.xz" >mini_debug_info/section

number=0
while read -r name; do
	number=$((number + 1))
	printf '\120%s' "$name" >demangle/$number
done <"$here/seeds/demangle.txt"
printf '\050std::map<std::string, std::vector<int> >::operator[](std::string const&)' >demangle/plain

printf '%s\n' -p 1 --older 500 -a 5 3 >options/kernel
printf '%s\n' -c "sleep '1 0' \"x y\" a\\ b" -T 3 --json >options/command
printf '%s\n' --format=folded --max-size 1k -z 16 --alloc-fn a=1 -- ls -l >options/words
printf '%s\n' doctor -p 3 >options/doctor
printf '401000 20 one\n401010 8 two three\n7f0000000000 ffff LazyCompile:~x /a.js:3\n' >perf_map/map
printf 'ffffffffffffff00 ff end\n0 0 none\nzz 1 bad\n10 10 a\n10 10 b\n' >perf_map/odd

with_byte 0 /proc/self/maps >proc/maps
with_byte 1 /proc/self/stat >proc/stat
with_byte 2 /proc/self/status >proc/status
printf '\0030::/system.slice/docker-%064d.scope\n' 0 >proc/docker
printf '\0034:cpu:/machine.slice/machine-a\\x2db.scope\n1:x:/lxc.payload.c1/y\n' >proc/lxc
printf '\004ffffffff81000000 T _text\nffffffffc0000000 t a [m]\nffffffff81000010 W b\n' \
	>proc/kallsyms
printf '# known\nleak:^foo*bar$\nleak:libx\n' >suppressions/file
printf 'leak:f*o*o*b\0fxoxoxoxb' >suppressions/match
head -c 512 dwarf/gcc-5 >walk/bytes
# ip 0x400010, sp 0x7ff000, then rows "rsp + 8 n" and a stack of return addresses.
{
	printf '\020\0\100\0\0\0\0\0\0\360\177\0\0\0\0\0\020\360\177\0\0\0\0\0'
	for row in 1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8; do
		printf "\\020\\0\\0\\0\\00$row\\0\\021\\376"
	done
	for word in 1 2 3 4 5 6; do
		printf "\\0${word}0\\0\\100\\0\\0\\0\\0\\0"
	done
} >walk/stack

# The tables of a JVM: the variables that lead to them, an entry a wish, what the static ones hold.
python3 - "$here/../../src/trace/java_tables.h" >java/tables <<'END'
import re, struct, sys
base, fields, types = 0x7f0000000000, [], []
header = open(sys.argv[1], encoding="utf-8").read()
wishes = re.findall(r'X\(\w+, "([^"]+)", "(_[^"]+)"\)', header)
memory = bytearray(0x5000)
texts = 0x3000
def text(content):
    global texts
    at = texts
    memory[at:at + len(content) + 1] = content.encode() + b"\0"
    texts += len(content) + 1
    return base + at
def word(at, value):
    memory[at:at + 8] = struct.pack("<Q", value & (1 << 64) - 1)
statics = {"_heaps": 0x4800, "_code": 0x4810, "_vm_major_version": 0x4820}
ints = ("_len", "_log2_segment_size", "_buffer_limit", "_frame_size", "_frame_complete_offset",
        "_code_offset", "_compile_id")
wishes = [wish for wish in wishes if wish[1] not in ("_heap", "_code_begin")]
for number, (kind, name) in enumerate(wishes):
    at = 0x100 + number * 56
    word(at, text(kind))
    word(at + 8, text(name))
    word(at + 16, text("int" if name in ints else "address"))
    if kind in ("CodeCache", "AbstractInterpreter", "Abstract_VM_Version"):
        word(at + 24, 1)
        word(at + 40, base + statics[name])
    else:
        word(at + 32, {"_data": 8, "_segmap": 32, "_memory": 8, "_high_boundary": 8}.get(name, 0))
for number, kind in enumerate(("HeapBlock", "ConstMethod")):
    word(0x2800 + number * 40, text(kind))
    word(0x2800 + number * 40 + 32, 8)
for number, value in enumerate((base + 0x100, 0, 8, 16, 24, 32, 40, 56, base + 0x2800, 0, 32, 40)):
    word(number * 8, value)
word(0x4800, base + 0x4900)              # the list of heaps: one, at 0x4a00
word(0x4900, 1)
word(0x4908, base + 0x4910)
word(0x4910, base + 0x4a00)
for at, value in ((0, 7), (8, base), (16, base + 0x10000), (32, base), (40, base + 0x1000)):
    word(0x4a00 + at, value)
word(0x4810, base + 0x4b00)
sys.stdout.buffer.write(b"\0" + bytes(memory))
END
printf '\001\0\0\2\1\3\7\0\1' >java/patches
cp "$here"/seeds/record/* record/

printf '\000[{"id":"%064d","names":["web","\\u0061lias"],"metadata":{"id":"x"}}, {"id":"y"}]' 0 \
	>containers/list
printf '\0010::/system.slice/docker-%064d.scope\n3:cpu:/a.slice:cri-containerd:web\n' 0 \
	>containers/cgroups
# A debug link of 16 bytes and one of dwz of 30, and a file that could be what they name.
{
	printf '\040a.debug\0\0\001\002\003\004\0\0\0\0'
	cat elf/static
} >debug_file/link
{
	printf '\075../.dwz/a.debug\0ABCDEFGHIJKLMN'
	cat elf/static
} >debug_file/alternate
# word NUMBER SIZE: little endian.
word() {
	local i value=$1
	for ((i = 0; i < $2; i++)); do
		printf "\\$(printf %o $((value & 255)))"
		value=$((value >> 8))
	done
}
# A header, a function of 16 bytes at 4096, its move to 8192 and a record of another kind.
{
	word 60 2
	word $((0x4a695444)) 4; word 1 4; word 40 4; word 62 4; word 0 4; word 1 4; word 0 8; word 0 8
	word 0 4; word 78 4; word 1 8; word 1 4; word 1 4; word 4096 8; word 4096 8; word 16 8; word 7 8
	printf 'name\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
	word 1 4; word 64 4; word 2 8; word 1 4; word 1 4; word 8192 8; word 4096 8; word 8192 8
	word 16 8; word 7 8
	word 3 4; word 16 4; word 3 8
} >jitdump/moved
# First line 10; one line on, two columns, a long form, none.
printf '\012\0\0\0\330\001\002\350\002\360\003\001\004\005\370\201\020' >python_line/table
