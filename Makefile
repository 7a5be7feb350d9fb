# Retort. `make help` lists what can be made.
#
# Sources are found by wildcard, dependencies by -MMD -MP, objects lie in $(BUILD)/obj; a file that
# holds the flags makes everything new when they change. Kernels in engine/tensor/cpu/ are compiled once
# for each x86-64 level and chosen at run time.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CFLAGS  ?= -O2 -g
WERROR  ?=
SAN     ?=
VERSION := 0.1.0

PKGS := hdf5 libgit2 libcjson libutf8proc libcrypto libarchive
WARN := -Wall -Wextra -Wshadow -Wconversion -Wdouble-promotion -Wmissing-prototypes \
        -Wstrict-prototypes -Wcast-qual -Wvla -Wformat=2 $(if $(WERROR),-Werror)
# System headers by -isystem: their warnings are not ours.
PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lhdf5_hl -ldnnl -lcurl -lm -lpthread
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Iinclude $(PKG_CFLAGS) $(WARN) -ffp-contract=off \
             -fno-math-errno $(CFLAGS) $(SAN)

SRC   := $(sort $(shell find engine methods evals runner -name '*.c'))
CPU   := $(filter engine/tensor/cpu/%.level.c,$(SRC))
PLAIN := $(filter-out $(CPU) runner/cli/main.c,$(SRC))
LEVELS := v2 v3 v4
OBJ   := $(PLAIN:%.c=$(BUILD)/obj/%.o) \
         $(foreach l,$(LEVELS),$(CPU:%.level.c=$(BUILD)/obj/%.$(l).o))
TESTS := $(sort $(wildcard tests/unit/*.c tests/parity/*.c tests/fault/*.c tests/fuzz/*.c))
TESTBIN := $(TESTS:%.c=$(BUILD)/%)

.PHONY: all quickstart test torture fuzz libs check-asan check-tsan bench install uninstall lint card-items format \
        help clean packages tests
all: $(BUILD)/retort $(BUILD)/libretort.a ## build the program and the library

# All of the library, and its names: plug-ins find in the program what the headers declare.
$(BUILD)/retort: $(BUILD)/obj/runner/cli/main.o $(BUILD)/libretort.a
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -rdynamic -o $@ $< -Wl,--whole-archive $(BUILD)/libretort.a \
	    -Wl,--no-whole-archive $(LIBS)

$(BUILD)/libretort.a: $(OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# What the binary knows of its making: revision, compiler, flags.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LIBS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LIBS)' > $@
$(BUILD)/build_info.h: FORCE tools/build-info.sh
	@sh tools/build-info.sh '$(VERSION)' '$(CC)' '$(CFLAGS) $(SAN)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
.PHONY: FORCE
FORCE:

# Texts that the program writes out, as C strings: the notebook, a page's style and script.
define string_rule
$(BUILD)/$(notdir $(basename $(1))).inc: $(1)
	@mkdir -p $$(@D)
	@sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $$< > $$@
endef
$(foreach f,notebooks-export/notebook.py runner/report/page_style.css runner/report/page_script.js, \
    $(eval $(call string_rule,$(f))))

$(BUILD)/obj/runner/pins/build.o: $(BUILD)/build_info.h
$(BUILD)/obj/runner/cli/notebook.o: $(BUILD)/notebook.inc
$(BUILD)/obj/runner/report/page.o: $(BUILD)/page_style.inc $(BUILD)/page_script.inc
$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -I$(BUILD) -MMD -MP -c -o $@ $<
define level_rule
$(BUILD)/obj/%.$(1).o: %.level.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -O3 $(2) -DLEVEL=$(1) -DLEVEL_$(1) -MMD -MP -c -o $$@ $$<
endef
$(eval $(call level_rule,v2,-march=x86-64-v2))
$(eval $(call level_rule,v3,-march=x86-64-v3))
$(eval $(call level_rule,v4,-march=x86-64-v4 -mprefer-vector-width=512))

$(BUILD)/tests/%: tests/%.c $(BUILD)/libretort.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -Wno-missing-prototypes -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
	    $(BUILD)/libretort.a $(LIBS) -lcmocka

# The benchmark is one program of several files.
BENCH := $(wildcard tests/bench/*.c)
$(BUILD)/tests/bench/bench: $(BENCH) $(wildcard tests/bench/*.h) $(BUILD)/libretort.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(BENCH) $(BUILD)/libretort.a $(LIBS)

# The torture program, and the library that goes between the program and the system's file calls.
TORTURE := $(wildcard tests/torture/[!s]*.c)
$(BUILD)/tests/torture/torture: $(TORTURE) $(wildcard tests/torture/*.h) $(BUILD)/libretort.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(TORTURE) $(BUILD)/libretort.a $(LIBS)
$(BUILD)/tests/torture/seam.so: tests/torture/seam.c tests/torture/seam.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -Wno-missing-prototypes -O2 -g -fPIC -shared -o $@ $< -ldl
TORTURE_BIN := $(BUILD)/tests/torture/torture $(BUILD)/tests/torture/seam.so

tests: all $(TESTBIN) $(BUILD)/tests/bench/bench $(TORTURE_BIN) ## build the tests

packages: ## install the Debian packages that are missing
	@sh tools/packages.sh build

quickstart: ## from a bare machine to a table and a plot
	@sh tools/quickstart.sh '$(BUILD)'

test: ## run all tests; the last line counts them
	@sh tools/packages.sh test
	@$(MAKE) --no-print-directory tests
	@sh tests/run.sh '$(BUILD)'

check-asan: ## unit and command-line tests under address and undefined sanitizers
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-asan CFLAGS='-O1 -g' \
	    SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' tests
	@sh tests/run.sh '$(BUILD)-asan' unit cli fault fuzz
TSAN_TESTS := pool store launch
check-tsan: ## pool, store, launcher and a sweep by workers under the thread sanitizer
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-tsan CFLAGS='-O1 -g' SAN='-fsanitize=thread' \
	    all $(TSAN_TESTS:%=$(BUILD)-tsan/tests/unit/test_%)
	set -e; for t in $(TSAN_TESTS); do $(BUILD)-tsan/tests/unit/test_$$t; done
	dir=$$(mktemp -d); cd $$dir && TSAN_OPTIONS=halt_on_error=1 RETORT='$(abspath $(BUILD)-tsan)/retort' \
	    sh '$(CURDIR)/tests/cli/jobs.sh'; rc=$$?; chmod -R u+w $$dir; rm -rf $$dir; exit $$rc

torture: all $(TORTURE_BIN) ## kill, starve and refuse a sweep at each of its calls (PART=, EVERY= for less)
	$(BUILD)/tests/torture/torture $(BUILD)/retort $(BUILD)/tests/torture/seam.so $(or $(PART),long) $(EVERY)

fuzz: ## every parser under libFuzzer, FUZZ_SECONDS each (an hour)
	@sh tools/fuzz.sh '$(BUILD)' $(TARGETS)
libs:
	@echo '$(LIBS)'

bench: all $(BUILD)/tests/bench/bench ## speed beside PyTorch, in one run
	@sh tools/bench.sh '$(BUILD)'

lint: ## layout, warnings of gcc and clang, who includes and calls whom, scripts, manual
	@sh tools/lint.sh
card-items: ## CARDS=FOLDER: items of method cards that no test carries
	@sh tools/card-items.sh '$(CARDS)'
format: ## lay out all sources by clang-format
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all ## PREFIX= and DESTDIR= say where
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include/retort \
	    $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(BUILD)/retort $(DESTDIR)$(PREFIX)/bin/retort
	install -m 644 $(BUILD)/libretort.a $(DESTDIR)$(PREFIX)/lib/libretort.a
	install -m 644 include/retort/*.h $(DESTDIR)$(PREFIX)/include/retort/
	$(BUILD)/retort manual > $(DESTDIR)$(PREFIX)/share/man/man1/retort.1
uninstall: ## take back what install put there
	rm -rf $(DESTDIR)$(PREFIX)/bin/retort $(DESTDIR)$(PREFIX)/lib/libretort.a \
	    $(DESTDIR)$(PREFIX)/include/retort $(DESTDIR)$(PREFIX)/share/man/man1/retort.1

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan build-lint-gcc build-lint-clang

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
