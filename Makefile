# Builds, tests, runs and installs Moongate. `make help` lists the targets.
# Everything made goes below $(B); two builds with different B never meet.
# What a test part does is in spec/run; which packages are needed is in conf/packages.txt.

B       ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC       = gcc
VERSION := 0.1.0
# Kept so that `make B=relative` and programs started elsewhere mean the same directory.
ROOT    := $(CURDIR)
export B

PKGS := libuv openssl luajit yaml-0.1 libpcre2-8 libcares zlib
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion \
        -Wno-sign-conversion -Werror
HARDEN := -fstack-protector-strong -ftrivial-auto-var-init=zero -fPIE
ifeq ($(SAN),1)
  OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
  OPT_LD := -fsanitize=address,undefined
else
  OPT := -O2 -g -D_FORTIFY_SOURCE=2
endif
ifeq ($(LTO),1)
  OPT += -flto=auto
endif
# STRESS=1 makes rare paths common: one-byte reads, short writes, a block for each arena allocation.
ifeq ($(STRESS),1)
  OPT += -DSTRESS=1
endif
# Built in another directory, the program is the same.
BASE_CFLAGS := -ffile-prefix-map=$(CURDIR)/= -ffile-prefix-map=$(CURDIR)=. -std=gnu11 -D_GNU_SOURCE -DMOONGATE_VERSION='"$(VERSION)"' -Iruntime -Ispec/unit
CFLAGS  ?=
ALL_CFLAGS  = $(BASE_CFLAGS) $(OPT) $(WARN) $(HARDEN) $(PKG_CFLAGS) $(CFLAGS)
# -E: the FFI finds the functions of abi.h as symbols of the running program.
ALL_LDFLAGS = $(OPT) -pie -Wl,-z,relro,-z,now -Wl,-E $(LDFLAGS)

# Rooms, low to high; a unit test of a room links that room and the ones it may use.
ROOMS := base io http config core lua cli
USES_base   := base
USES_io     := io base
USES_http   := http base
USES_config := config http base
USES_core   := core config http io base
USES_lua    := lua core config http io base
USES_cli    := cli lua core config http io base

lib_of   = $(B)/lib/$(1).a
libs_for = $(foreach r,$(USES_$(1)),$(call lib_of,$(r)))
objs_of  = $(patsubst runtime/%.c,$(B)/obj/%.o,$(wildcard runtime/$(1)/*.c))
say      = @printf '  %-6s %s\n'

ifeq ($(V),1)
  Q :=
else
  Q := @
endif

.PHONY: all help packages unit lint format tidy spec e2e client image-test kube test run install uninstall deb deb-test image asan fuzz bench clean FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all: $(B)/moongate

help:
	@echo 'make            build $(B)/moongate            make run      install packages, build, serve on 127.0.0.1:8000'
	@echo 'make test       everything below, one sum      make install  DESTDIR= PREFIX=/usr/local'
	@echo 'make unit       C unit tests (unit-ROOM: one)  make spec     Lua specs (SPEC=path: one)'
	@echo 'make e2e        end to end (SPEC=path: one)    make client   the official clients against it'
	@echo 'make lint       formats, luacheck, rooms       make format   clang-format in place; make tidy: clang-tidy'
	@echo 'make asan       all tests under ASan + UBSan   make fuzz     FUZZ_SECONDS=30 each, 0: corpora only (FUZZ=name: one)'
	@echo 'make image      OCI image archive, no Docker   make image-test kube   the image restricted; chart and kustomize base'
	@echo 'make deb        Debian package                 make deb-test   built, installed, upgraded, purged in a fresh Debian (minutes)'
	@echo 'make bench      benchmarks                     options       B=dir V=1 LTO=1 SAN=1 STRESS=1'

# --- program ---------------------------------------------------------------------------------

# Built here, it reads lualib/, plugins/ and runtime/abi.h from the source tree; installed, from
# PREFIX/share/moongate, which has the same layout. Only main.c sees the macro.
SHARE := $(ROOT)
SHARE_FLAG = -DMOONGATE_SHARE='"$(SHARE)"'
ROOM_LIBS = $(foreach r,$(ROOMS),$(if $(wildcard runtime/$(r)/*.c),$(call lib_of,$(r))))

ifeq ($(PKG_LIBS),)
$(B)/moongate: FORCE
	@conf/install-packages --check run
	@echo 'pkg-config cannot find one of: $(PKGS)' >&2; exit 1
else
$(B)/moongate: $(B)/obj/main.o $(ROOM_LIBS)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(B)/obj/main.o -Wl,--whole-archive $(ROOM_LIBS) -Wl,--no-whole-archive $(PKG_LIBS) -lm
endif

$(B)/obj/main.o: runtime/main.c $(B)/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SHARE_FLAG) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: runtime/%.c $(B)/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define room_rules
$(call lib_of,$(1)): $(call objs_of,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$(if $(filter 1,$(LTO)),gcc-ar,ar) rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

# Objects are rebuilt when the compiler's options change.
$(B)/flags: FORCE
	@mkdir -p $(B)
	@printf '%s\n' "$(subst ",\",$(CC) $(ALL_CFLAGS) $(SHARE))" | cmp -s - $@ || \
	  printf '%s\n' "$(subst ",\",$(CC) $(ALL_CFLAGS) $(SHARE))" > $@

-include $(wildcard $(B)/obj/*.d $(B)/obj/*/*.d $(B)/unit/*/*.d $(B)/fuzz/obj/*/*.d $(B)/fuzz/*.d)

# --- unit tests ------------------------------------------------------------------------------

unit_bins_of = $(patsubst spec/unit/%.c,$(B)/unit/%,$(wildcard spec/unit/$(1)/test_*.c))
UNIT_HELPERS_OF = $(patsubst spec/unit/%.c,$(B)/unit/%.o,$(filter-out spec/unit/$(1)/test_%,$(wildcard spec/unit/$(1)/*.c)))
needs_llhttp = $(if $(shell grep -l '[<"]llhttp.h' $(1) 2>/dev/null),$(B)/llhttp/llhttp.a)

# $(B)/unit/<room>/test_x from spec/unit/<room>/test_x.c, any other .c beside it, and the rooms.
define unit_rules
.PHONY: unit-$(1) unit-build-$(1)
unit-build-$(1): $(call unit_bins_of,$(1))
unit-$(1):
	@spec/run unit-$(1)
$(foreach t,$(call unit_bins_of,$(1)),$(eval $(t): $(call needs_llhttp,$(patsubst $(B)/%,spec/%.c,$(t)))))
$(B)/unit/$(1)/%: spec/unit/$(1)/%.c $(call UNIT_HELPERS_OF,$(1)) $(call libs_for,$(1)) $(B)/flags
	$$(say) CC $$<
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -I$(B)/llhttp -MMD -MP -MF $$@.d -o $$@ $$< $(call UNIT_HELPERS_OF,$(1)) $$(ALL_LDFLAGS) \
	  $$(filter %/llhttp.a,$$^) $(call libs_for,$(1)) $$(PKG_LIBS) -lm
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rules,$(r))))

$(B)/unit/%.o: spec/unit/%.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# llhttp is only the second opinion of differential tests. Debian ships its C source inside a
# package of Node's; taking it out of the .deb leaves whatever Node is installed alone.
$(B)/llhttp/llhttp.a:
	@mkdir -p $(B)/llhttp/deb
	@cd $(B)/llhttp/deb && { ls node-llhttp_*.deb >/dev/null 2>&1 || apt-get download -qq node-llhttp 2>apt.log || \
	    { apt-get update -qq 2>>apt.log && apt-get download -qq node-llhttp 2>>apt.log; }; } && \
	  dpkg-deb -x node-llhttp_*.deb . || { cat apt.log; \
	  echo 'cannot get the Debian package node-llhttp: a differential test needs its C source' >&2; exit 1; }
	@cp $(B)/llhttp/deb/usr/share/include/llhttp/llhttp.h $(B)/llhttp/
	$(say) CC llhttp
	@cd $(B)/llhttp && $(CC) -O2 -g -w -DLLHTTP_STRICT_MODE=1 -I. -c deb/usr/share/llhttp/*.c && ar rcs llhttp.a *.o

# --- suites (spec/run holds the steps, counts and sums) -----------------------------------------

unit lint spec e2e client image-test kube:
	@spec/run $(@:-test=)

test:
	@conf/install-packages run test
	@spec/run --sum build lint unit spec e2e client image kube

asan:
	@SAN=1 ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 \
	  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	  SLOW=4 B=$(B)/asan spec/run --sum build unit e2e

tidy:
	@clang-tidy --quiet $(or $(FILES),$(wildcard runtime/*.c runtime/*/*.c)) -- $(BASE_CFLAGS) $(PKG_CFLAGS) -DMOONGATE_SHARE='""'

format:
	@clang-format -i $(wildcard runtime/*.[ch] runtime/*/*.[ch] spec/unit/*.h spec/unit/*/*.[ch] spec/fuzz/*.[ch] spec/bench/*.[ch])

bench:
	@$(MAKE) --no-print-directory all
	@spec/bench/run

# --- fuzzing -----------------------------------------------------------------------------------

FUZZ_SECONDS ?= 30
FUZZ_TARGETS := $(or $(patsubst %,fuzz_%,$(patsubst fuzz_%,%,$(FUZZ))),$(patsubst spec/fuzz/%.c,%,$(wildcard spec/fuzz/fuzz_*.c)))
FUZZ_CFLAGS = $(BASE_CFLAGS) -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=undefined \
              -DMOONGATE_FUZZ=1 $(PKG_CFLAGS) -I$(B)/llhttp
# The rooms a target needs are the ones it includes, and what those may use.
fuzz_rooms = $(firstword $(foreach r,lua core config http io base,$(if $(shell grep -l '"$(r)/' spec/fuzz/$(1).c),$(r))) base)
fuzz_objs  = $(patsubst runtime/%.c,$(B)/fuzz/obj/%.o,$(foreach r,$(USES_$(call fuzz_rooms,$(1))),$(wildcard runtime/$(r)/*.c)))

$(B)/fuzz/obj/%.o: runtime/%.c
	$(say) FUZZCC $<
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

define fuzz_rules
$(B)/fuzz/$(1): spec/fuzz/$(1).c $(call fuzz_objs,$(1)) $(call needs_llhttp,spec/fuzz/$(1).c)
	$$(say) FUZZ $(1)
	@mkdir -p $$(@D)
	$$(Q)clang $$(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined -MMD -MP -MF $$@.d -o $$@ $$(filter %.c %.o %.a,$$^) $$(PKG_LIBS) -lm
endef
$(foreach t,$(patsubst spec/fuzz/%.c,%,$(wildcard spec/fuzz/fuzz_*.c)),$(eval $(call fuzz_rules,$(t))))

fuzz:
	@conf/install-packages run fuzz
	@$(MAKE) --no-print-directory -k $(addprefix $(B)/fuzz/,$(FUZZ_TARGETS))
	@FUZZ_SECONDS=$(FUZZ_SECONDS) spec/run fuzz $(FUZZ_TARGETS)

# --- run, install, clean -------------------------------------------------------------------------

# With a provider's key in the environment the sample talks to the provider, else to a mock of its own.
CONF   ?= $(if $(OPENAI_API_KEY),conf/openai,conf/example)
LISTEN ?= 127.0.0.1:8000

run:
	@conf/install-packages run
	@$(MAKE) --no-print-directory all
	@echo 'serving $(CONF) on http://$(LISTEN)  (Ctrl-C stops it)'
	@MOONGATE_PROXY_LISTEN='$(LISTEN)' exec $(B)/moongate start --settings conf/gateway.yaml -c $(CONF)

DEST_SHARE = $(DESTDIR)$(PREFIX)/share/moongate

SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  ?= $(PREFIX)/share/zsh/vendor-completions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d
SHARED_FILES = $(shell find lualib plugins -type f -name '*.lua') conf/example/kong.yaml conf/openai/kong.yaml conf/gateway.yaml

$(B)/moongate-installed: $(B)/moongate FORCE
	$(Q)$(CC) $(ALL_CFLAGS) -DMOONGATE_SHARE='"$(PREFIX)/share/moongate"' -c -o $(B)/obj/main-installed.o runtime/main.c
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(B)/obj/main-installed.o -Wl,--whole-archive $(ROOM_LIBS) -Wl,--no-whole-archive $(PKG_LIBS) -lm

install: $(B)/moongate-installed
	@install -D -m 755 $< $(DESTDIR)$(PREFIX)/bin/moongate
	@install -D -m 644 runtime/abi.h $(DEST_SHARE)/runtime/abi.h
	@for f in $(SHARED_FILES); do install -D -m 644 $$f $(DEST_SHARE)/$$f || exit 1; done
	@install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(BASHCOMPDIR) $(DESTDIR)$(ZSHCOMPDIR) $(DESTDIR)$(FISHCOMPDIR)
	@$(B)/moongate man moongate > $(DESTDIR)$(PREFIX)/share/man/man1/moongate.1
	@$(B)/moongate man gateway.yaml > $(DESTDIR)$(PREFIX)/share/man/man5/gateway.yaml.5
	@$(B)/moongate completion bash > $(DESTDIR)$(BASHCOMPDIR)/moongate
	@$(B)/moongate completion zsh > $(DESTDIR)$(ZSHCOMPDIR)/_moongate
	@$(B)/moongate completion fish > $(DESTDIR)$(FISHCOMPDIR)/moongate.fish

uninstall:
	rm -rf $(DEST_SHARE) $(DESTDIR)$(PREFIX)/bin/moongate $(DESTDIR)$(PREFIX)/share/man/man1/moongate.1 \
	  $(DESTDIR)$(PREFIX)/share/man/man5/gateway.yaml.5 $(DESTDIR)$(BASHCOMPDIR)/moongate $(DESTDIR)$(ZSHCOMPDIR)/_moongate \
	  $(DESTDIR)$(FISHCOMPDIR)/moongate.fish

# The Debian package, in $(B)/deb.
deb:
	@conf/install-packages run deb
	@conf/debian/build $(B)/deb
	$(say) DEB "$$(ls $(B)/deb/*.deb | tr '\n' ' ')"

deb-test:
	@conf/install-packages run test deb
	@spec/deb/run

# The image's root file system in $(B)/image/rootfs, and an OCI archive of it; conf/image/Dockerfile makes the same with Docker.
image:
	@rm -rf $(B)/image && mkdir -p $(B)/image
	@$(MAKE) --no-print-directory DESTDIR=$(abspath $(B))/image/installed PREFIX=/usr install
	@conf/image/mkrootfs $(B)/image/installed $(B)/image/rootfs
	@conf/image/mkoci $(B)/image/rootfs $(B)/image/moongate.oci.tar
	$(say) IMAGE "$(B)/image/moongate.oci.tar ($$(( $$(wc -c < $(B)/image/moongate.oci.tar) / 1024 )) KiB)"

clean:
	rm -rf $(B)
