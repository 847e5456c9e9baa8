# A thin front for Meson and ninja. The packages that each target needs are in scripts/packages.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
NINJA = ninja -C

all: $(BUILD)/build.ninja
	@$(NINJA) $(BUILD) programs

$(BUILD)/build.ninja:
	@command -v meson >/dev/null && command -v ninja >/dev/null || \
		{ echo "make: meson and ninja are needed; as root, 'scripts/packages build' installs what the build needs" >&2; exit 1; }
	meson setup $(BUILD) --prefix $(PREFIX)

# On a fresh Debian 12 as root: installs what is missing, builds, runs. Run again, it only runs.
run:
	@scripts/packages build
	@$(MAKE) --no-print-directory all
	@scripts/first-run $(BUILD)/viv

test:
	@scripts/packages build check test
	@tests/run

# All that needs no container engine, no rig and no machine, which is a host of its own too.
check:
	@scripts/packages build check
	@tests/run --check

soak:
	@scripts/packages build check test bench
	@tests/run --soak

lint:
	@scripts/packages build check
	@tests/run --only gates

# FUZZ_SECONDS for each fuzzer; a crash's input stays in build-fuzz/crashes.
FUZZ_SECONDS ?= 60
fuzz:
	@scripts/packages build check
	@tests/run --only fuzz --fuzz-seconds $(FUZZ_SECONDS)

bench: 
	@scripts/packages build bench
	@$(MAKE) --no-print-directory all
	@tests/bench/run $(BUILD)

install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --tags runtime,man

clean:
	rm -rf $(BUILD) build-asan build-fuzz tests/.cache .cache

.PHONY: all run test check soak lint fuzz bench install clean
