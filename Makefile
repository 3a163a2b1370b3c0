# SPDX-License-Identifier: BSD-2-Clause
# The front door. Everything real is in meson.build and scripts/; this file gives it short names.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
KERNELS ?= 6.1 6.12

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@scripts/packages.sh check build
	@meson setup $(BUILD) --buildtype=debugoptimized --prefix=$(PREFIX) >/dev/null

deps:
	@scripts/packages.sh install

demo:
	@scripts/packages.sh install-if-root build demo
	@$(MAKE) --no-print-directory all
	@examples/demo.sh $(BUILD)/memleak

# Format, layers, documentation: in seconds, without building.
check:
	@scripts/check.sh

# From now on each commit has to pass `make check`; git commit --no-verify is the way around.
hook:
	@hook=$$(git rev-parse --git-path hooks)/pre-commit; \
	if [ -e "$$hook" ]; then echo "$$hook is there already; have it call scripts/check.sh"; exit 1; fi; \
	mkdir -p "$${hook%/*}" && printf '#!/bin/sh\nexec scripts/check.sh\n' >"$$hook" && chmod +x "$$hook"

test:
	@scripts/packages.sh install-if-root
	@scripts/test.sh

# What memleak and other tools cost: below 20 minutes. BENCH="--rows sqlite,redis --quick" and the like
# (bench/run.py --help).
BENCH ?=
bench:
	@scripts/packages.sh install-if-root build bench
	@$(MAKE) --no-print-directory all
	@/usr/bin/python3 bench/run.py $(BUILD)/memleak $(BENCH)

# How good verdicts are, by programs whose truth is known: about 7 minutes.
bench-verdict:
	@scripts/packages.sh install-if-root
	@$(MAKE) --no-print-directory all
	@/usr/bin/python3 bench/verdict/run.py $(BUILD)/memleak

# make fuzz SECONDS=600: each harness that long
SECONDS ?= 60
fuzz:
	@scripts/fuzz.sh $(SECONDS)

# Attaches the agent and kills memleak again and again, programs under load: ten minutes and more.
CYCLES ?= 1000
KILLS ?= 200
torture: all
	@tests/torture/torture.py $(BUILD)/memleak --cycles $(CYCLES) --kills $(KILLS) --follow

# On Debian's kernels, in a machine that QEMU emulates: some minutes for each.
vm:
	@scripts/packages.sh install-if-root build test vm
	@$(MAKE) --no-print-directory all
	@tests/vm/run.sh $(BUILD)/memleak $(KERNELS)

install: all
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(DESTDIR)) >/dev/null
	@echo "installed memleak below $(DESTDIR)$(PREFIX)"

format:
	@scripts/format.sh fix

clean:
	@rm -rf $(BUILD) build-*

.PHONY: all deps demo check hook test bench bench-verdict fuzz torture vm install format clean
