#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds the programs of the tests of src/symbols into the folder $1.
set -eu
cd "$1"

# Lines are numbered by hand: the tests know them. fixed_*() are never inlined, small_*() always.
cat >inlines.c <<'END'
#include <stdlib.h>
#define ALWAYS static inline __attribute__((always_inline))
#define NEVER __attribute__((noinline, noclone))
struct point { /* has a type unit of its own with -fdebug-types-section */
	int x, y;
};
struct point spot;
volatile int sink;
#ifdef __cplusplus
extern "C" {
#endif
#line 100 "deep.h"
ALWAYS void small_inner(int x)
{
	sink = rand() * x;
}
ALWAYS void small_outer(int x)
{
	small_inner(x + 1);
	small_inner(x + 2);
}
#line 200 "inlines.c"
NEVER int fixed_caller(int x)
{
	small_outer(x);
	sink++;
	return sink + x;
}
NEVER void fixed_ending(void)
{
	abort();
}
NEVER int fixed_behind(int x)
{
	return sink - x;
}
#line 300 "inlines.c"
int main(int argc, char **argv)
{
	if (argc > 100)
		fixed_ending();
	return fixed_caller(argc) == fixed_behind(argc);
}
#ifdef __cplusplus
}
#endif
END
cat >classes.cc <<'END'
#include <cstdlib>
volatile int sink;
#line 100 "classes.cc"
namespace space {
template <typename T> struct box {
	T value;
	__attribute__((always_inline)) inline T
	get() { return value * rand(); }
	__attribute__((noinline)) T twice();
};
template <typename T> T box<T>::twice() {
	return get() + value;
}
}
#line 200 "classes.cc"
__attribute__((noinline)) int with_local(int x) {
	struct local {
		static __attribute__((noinline)) int method(int y) {
			return sink + y * rand();
		}
	};
	return local::method(x) + local::method(x + 1);
}
int main(int argc, char **) {
	space::box<long> b{argc};
	return with_local(argc) == b.twice();
}
END
ids=-Wl,--build-id=sha1
gcc -O0 -gdwarf-4 inlines.c -o inlines-O0-4 $ids
gcc -O2 -gdwarf-4 inlines.c -o inlines-O2-4 $ids
gcc -O2 -gdwarf-5 inlines.c -o inlines-O2-5 $ids
gcc -O2 -gdwarf-5 -gz inlines.c -o inlines-O2-5-gz $ids
# Not where linkers put programs: high, and a prelinked library.
gcc -O2 -g -no-pie -Wl,-Ttext-segment=0x60000000 inlines.c -o inlines-high $ids
gcc -O2 -g -shared -fPIC -Wl,-Ttext-segment=0x3000000000 inlines.c -o inlines-prelinked.so $ids
g++ -O2 -g classes.cc -o classes $ids
if command -v clang >/dev/null; then
	clang -Wno-unknown-attributes -O2 -gdwarf-5 inlines.c -o inlines-clang $ids
	clang -Wno-unknown-attributes -O2 -gdwarf-5 -gdwarf64 inlines.c -o inlines-clang-64 $ids
	clang++ -O2 -g classes.cc -o classes-clang $ids
fi

# Debug information in a file of its own, found by link or by build-id.
gcc -O2 -g inlines.c -o whole $ids
objcopy --only-keep-debug whole split.debug
mkdir linked hidden tree
(cp split.debug linked/split.debug && cd linked && objcopy --strip-all \
	--add-gnu-debuglink=split.debug ../whole stripped)
mkdir hidden/.debug
cp linked/stripped hidden/stripped
cp split.debug hidden/.debug/split.debug
strip whole -o stripped
id=$(readelf -n whole | sed -n 's/.*Build ID: //p')
dir=tree/usr/lib/debug/.build-id/$(echo "$id" | cut -c1-2)
mkdir -p "$dir"
cp split.debug "$dir/$(echo "$id" | cut -c3-).debug"
# What a debuginfod server has of it, and a file that is not what it is asked for.
mkdir -p server/buildid/$id liar/buildid/$id
cp split.debug server/buildid/$id/debuginfo
cp inlines-O2-4 liar/buildid/$id/debuginfo
# The same without a build-id: only the CRC tells.
gcc -O2 -g inlines.c -o noid -Wl,--build-id=none
mkdir crc wrong
objcopy --only-keep-debug noid crc/noid.debug
(cd crc && objcopy --strip-all --add-gnu-debuglink=noid.debug ../noid stripped)
cp crc/stripped wrong/stripped
cp crc/noid.debug wrong/noid.debug
echo >>wrong/noid.debug
# A link that is a FIFO.
mkdir fifo
cp linked/stripped fifo/stripped
mkfifo fifo/split.debug

# Blocks in blocks in blocks, 30 million levels deep.
cat >nest.s <<'END'
	.text
	.globl main
	.type main, @function
main:	ret
	.size main, . - main
	.section .debug_abbrev, "", @progbits
	.byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0
	.byte 2, 0x0b, 1, 0, 0, 0
	.section .debug_info, "", @progbits
	.long 2f - 1f
1:	.short 4
	.long 0
	.byte 8, 1
	.quad main, 1
	.fill 30000000, 1, 2
2:
	.section .note.GNU-stack, "", @progbits
END
gcc -no-pie nest.s -o nest

# dwz moves what two files have in common into a third one.
if command -v dwz >/dev/null; then
	cp inlines-O2-4 dwz-a
	gcc -O2 -gdwarf-4 -DOTHER inlines.c -o dwz-b $ids -Wl,--defsym=other=1
	mkdir -p tree/usr/lib/debug/.dwz
	dwz -m tree/usr/lib/debug/.dwz/common.debug -M /usr/lib/debug/.dwz/common.debug \
		dwz-a dwz-b || rm -f dwz-a dwz-b
	# A link that leads out of the target's root.
	cp inlines-O2-4 dwz-outside
	gcc -O2 -gdwarf-4 -DOTHER inlines.c -o dwz-other $ids -Wl,--defsym=other=1
	dwz -m outside.debug -M "$PWD/outside.debug" dwz-outside dwz-other || rm -f dwz-outside
fi

# Split DWARF: split/NAME has its units in .dwo files where the compiler put them, moved/NAME beside
# itself, package/NAME in a .dwp, packed/NAME in a compressed one; whole_units/NAME has the same code
# and no split.
mkdir split moved package packed whole_units
cat >other.c <<'END'
#line 398 "other.c"
struct point { int x, y; };
extern struct point spot;
extern volatile int sink;
static inline __attribute__((always_inline)) int small_other(int x)
{
	return sink * x + spot.y;
}
#ifdef __cplusplus
extern "C"
#endif
__attribute__((noinline)) int fixed_other(int x)
{
	int y = small_other(x) + 1;
	return x > 3 ? small_other(y) : y;
}
END
split_dwarf() {
	name=$1
	compiler=$2
	packer=$3
	shift 3
	$compiler "$@" inlines.c other.c -o whole_units/$name $ids
	$compiler "$@" -gsplit-dwarf -c inlines.c -o split/$name-1.o
	$compiler "$@" -gsplit-dwarf -c other.c -o split/$name-2.o
	$compiler "$@" split/$name-1.o split/$name-2.o -o split/$name $ids
	command -v $packer >/dev/null &&
		$packer -e split/$name -o package/$name.dwp && cp split/$name package/$name
	[ -e package/$name ] && cp package/$name packed/$name &&
		objcopy --compress-debug-sections=zlib package/$name.dwp packed/$name.dwp
	mkdir moved/$name
	cp split/$name moved/$name/program
	cp split/$name-1.dwo split/$name-2.dwo moved/$name
}
split_dwarf gcc-4 gcc dwp -O2 -gdwarf-4
split_dwarf gcc-5 gcc llvm-dwp -O2 -gdwarf-5
split_dwarf types-4 gcc dwp -O2 -gdwarf-4 -fdebug-types-section
split_dwarf types-5 gcc llvm-dwp -O2 -gdwarf-5 -fdebug-types-section
split_dwarf wide gcc no-packer -O2 -gdwarf-5 -gdwarf64
split_dwarf sections gcc llvm-dwp -O2 -gdwarf-5 -ffunction-sections
if command -v clang >/dev/null; then
	split_dwarf clang-4 clang dwp -Wno-unknown-attributes -O2 -gdwarf-4
	split_dwarf clang-5 clang llvm-dwp -Wno-unknown-attributes -O2 -gdwarf-5
	split_dwarf clang-types clang++ llvm-dwp -Wno-unknown-attributes -Wno-deprecated -O2 -gdwarf-5 \
		-fdebug-types-section
fi
# Only in the target's root, under the path of the compiler's folder.
mkdir -p tree/$PWD/split
for name in gcc-4 gcc-5; do
	mkdir alone-$name
	cp split/$name alone-$name/program
	cp split/$name-1.dwo split/$name-2.dwo tree/$PWD/split
done
# A function that is an instance of a skeleton unit, whose .dwo would be a FIFO of this machine.
mkfifo trap.dwo
cat >trap.s <<END2
	.text
	.globl main
	.type main, @function
main:	ret
.Lend:	.size main, .-main
	.section .debug_abbrev,"",@progbits
	.byte 1, 0x4a, 0, 0x76, 8, 0x1b, 8, 0, 0
	.byte 2, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0
	.byte 3, 0x2e, 0, 0x11, 1, 0x12, 7, 0x31, 0x10, 0, 0, 0
	.section .debug_info,"",@progbits
	.long .Lsecond - .Lfirst
.Lfirst: .short 5
	.byte 4, 8
	.long 0
	.quad 0x1234567890abcdef
.Lskeleton: .byte 1
	.string "trap.dwo"
	.string "$PWD"
.Lsecond: .long .Lthird - .Lsecond - 4
	.short 5
	.byte 1, 8
	.long 0
	.byte 2
	.quad main, .Lend - main
	.byte 3
	.quad main, .Lend - main
	.long .Lskeleton - .Lfirst + 4
	.byte 0
.Lthird:
	.section .note.GNU-stack,"",@progbits
END2
gcc -no-pie trap.s -o trap
