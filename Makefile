# SPDX-License-Identifier: Apache-2.0
# A front over Meson for the few things one does every day.
PREFIX ?= /usr/local
PYTHON = /usr/bin/python3
FUZZ_SECONDS ?= 30

all: build/build.ninja
	ninja -C build

build/build.ninja:
	meson setup build --buildtype=debugoptimized --prefix=$(PREFIX)

demo:
	scripts/deps.sh
	scripts/demo.sh

check:
	scripts/deps.sh
	test -f build-check/build.ninja || meson setup build-check -Db_sanitize=address,undefined
	ninja -C build-check
	scripts/check.sh build-check

bench: all
	$(PYTHON) bench/bench.py $(BENCH_OPTIONS)

fuzz:
	scripts/deps.sh
	test -f build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dfuzz=true -Dtests=false -Db_lundef=false \
		-Db_sanitize=address,undefined
	ninja -C build-fuzz fuzzers
	scripts/fuzz.sh build-fuzz $(FUZZ_SECONDS)

tsan:
	scripts/deps.sh
	test -f build-tsan/build.ninja || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
	ninja -C build-tsan
	scripts/tsan.sh build-tsan

install: all
	meson install -C build --no-rebuild

clean:
	rm -rf build build-check build-fuzz build-tsan

format:
	find src tests fuzz -name '*.[ch]' -exec clang-format -i {} +

tidy:
	scripts/deps.sh tidy
	test -f build/build.ninja || meson setup build
	ninja -C build
	find src -name '*.c' -print0 | xargs -0 -P 2 -n 8 clang-tidy --quiet -p build

.PHONY: all demo check bench fuzz tsan install clean format tidy
