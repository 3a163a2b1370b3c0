#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds the ELF files of the tests of src/elf into the folder $1.
set -eu
cd "$1"

cat >app.c <<'END'
#include <stdio.h>
#include <stdlib.h>
static __attribute__((noinline)) int local_one(int x) { return x * rand(); }
__attribute__((noinline)) int global_one(int x) { return local_one(x) + 1; }
int main(int argc, char **argv) { return printf("%d\n", global_one(argc)) < 0; }
END
cat >lib.c <<'END'
__attribute__((noinline)) int public_old(int x) { return x + 3; }
__attribute__((noinline)) static int hidden_one(int x) { return x * 7 + public_old(x); }
__attribute__((noinline)) int public_new(int x) { return hidden_one(x) + 5; }
__asm__(".symver public_old,versioned@V1");
__asm__(".symver public_new,versioned@@V2");
extern int __internal_alias(int) __attribute__((alias("public_new"), visibility("default")));
extern int plain(int) __attribute__((alias("public_new"), visibility("default")));
extern int plain_longer(int) __attribute__((alias("public_new"), visibility("default")));
static void *choose(void) { return public_new; }
int chosen(int) __attribute__((ifunc("choose")));
END
cat >lib.map <<'END'
V1 { global: versioned; plain; plain_longer; __internal_alias; chosen; asm_*; local: *; };
V2 { global: versioned; } V1;
END
# Functions without sizes, as in hand-written assembly; a label inside one that has a size.
cat >asm.s <<'END'
	.text
	.globl asm_first, asm_second, asm_sized
asm_first:
	.fill 16, 1, 0x90
asm_second:
	.fill 24, 1, 0x90
	.type asm_sized, @function
asm_sized:
	.fill 8, 1, 0x90
inner_label:
	.fill 8, 1, 0x90
	.size asm_sized, . - asm_sized
	.section .text.last, "ax", @progbits
	.globl asm_last
asm_last:
	.fill 5, 1, 0x90
	.section .note.GNU-stack, "", @progbits
END

gcc -O1 -g app.c -o app -Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567
gcc -O1 app.c -o app-noid -Wl,--build-id=none
gcc -O1 -no-pie app.c -o app-nopie
gcc -O1 -static app.c -o app-static
gcc -O1 -static-pie app.c -o app-static-pie
gcc -O1 -gz -g app.c -o app-compressed
gcc -O1 -fPIC -shared lib.c asm.s -o lib.so -Wl,--version-script=lib.map -Wl,-soname,lib.so.1
gcc -O1 -fPIC -shared lib.c asm.s -o lib-sysv.so -Wl,--version-script=lib.map -Wl,--hash-style=sysv
strip lib.so -o lib-stripped.so
# Without section headers at all: e_shoff (8 bytes at 40), e_shnum and e_shstrndx (at 60) zeroed.
for name in lib.so lib-sysv.so app; do
	cp "$name" "headless-$name"
	dd if=/dev/zero of="headless-$name" bs=1 seek=40 count=8 conv=notrunc 2>/dev/null
	dd if=/dev/zero of="headless-$name" bs=1 seek=60 count=4 conv=notrunc 2>/dev/null
done
# MiniDebugInfo as Fedora's find-debuginfo makes it.
objcopy --only-keep-debug lib.so lib.mini
strip --keep-symbol=hidden_one --strip-debug lib.mini 2>/dev/null || true
xz -k lib.mini
objcopy --add-section .gnu_debugdata=lib.mini.xz lib-stripped.so lib-mini.so
# A bomb: 300 MiB of zeroes.
head -c 314572800 /dev/zero | xz -0 >bomb.xz
objcopy --add-section .gnu_debugdata=bomb.xz lib-stripped.so lib-bomb.so
rm -f bomb.xz

head -c 4000 app >cut-load
head -c 100 app >cut-phdr
head -c 40 app >cut-header
head -c 3 app >cut-magic
echo "#!/bin/sh" >script
: >empty
cp app app32
printf '\001' | dd of=app32 bs=1 seek=4 count=1 conv=notrunc 2>/dev/null
cp app app-arm
printf '\267' | dd of=app-arm bs=1 seek=18 count=1 conv=notrunc 2>/dev/null
cp app app-big-endian
printf '\002' | dd of=app-big-endian bs=1 seek=5 count=1 conv=notrunc 2>/dev/null
gcc -O1 -c app.c -o object.o

# The same library again, and one that only claims to be.
cp lib.so lib-copy.so
cp lib.so lib-liar.so
change() {
	printf "$1" | dd of=lib-liar.so bs=1 seek=$(($(stat -c %s lib.so) / 2)) conv=notrunc 2>/dev/null
}
change '\220'
if cmp -s lib.so lib-liar.so; then
	change '\221'
fi
