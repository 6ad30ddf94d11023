# SPDX-License-Identifier: Apache-2.0
# One non-recursive make. Everything that is made lies under $(BUILD).
#   V=1 shows commands; SAN=address,undefined builds with sanitizers into a folder of its own.

SAN ?=
BUILD ?= build$(if $(SAN),/san)
PREFIX ?= /usr
DESTDIR ?=
comma := ,
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' $(1) $(2);)

CLANG ?= clang-19
CLANG_FORMAT ?= clang-format-19
CLANG_TIDY ?= clang-tidy-19
BPFTOOL ?= bpftool
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

ifeq ($(origin CC),default)
CC := gcc
endif
ARCH_INCLUDE := -idirafter /usr/include/$(shell uname -m)-linux-gnu

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla \
	-Wswitch-enum -Wpointer-arith -Wundef
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
ifeq ($(SAN),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
SANFLAGS :=
else
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
endif
# A folder of headers in front of bpf/abi (selftests/lib/longer_rows); empty: none.
ABI ?=
INCLUDES := $(ABI:%=-I%) -Ibpf -Iloader -I. -I$(BUILD)/gen -isystem /usr/include/libnl3
CPPFLAGS += -D_GNU_SOURCE $(INCLUDES)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(HARDEN) $(SANFLAGS) $(CPPFLAGS) \
	-ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(BUILD)=build -MMD -MP
LDFLAGS += -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed
# Shadow stacks: Debian's start files lack the note, though they return where they were called from.
# Not so for indirect branches (no ENDBR in _start): that note would be a lie.
SHSTK := $(if $(filter x86_64,$(shell uname -m)),-Wl$(comma)-z$(comma)shstk)
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Werror -Wshadow \
	$(ABI:%=-I%) -Ibpf $(ARCH_INCLUDE) -ffile-prefix-map=$(CURDIR)=. -MMD -MP

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# --- BPF: every *.bpf.c, one linked object, one skeleton -------------------------------------
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:%.bpf.c=$(BUILD)/%.o)
SKEL := $(BUILD)/gen/margay.skel.h

$(BUILD)/bpf/%.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<) $(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(BUILD)/bpf/margay.bpf.o: $(BPF_OBJ)
	$(call say,LINK,$@) $(BPFTOOL) gen object $@ $^

$(SKEL): $(BUILD)/bpf/margay.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL,$@) $(BPFTOOL) gen skeleton $< name margay > $@

# --- libraries: one archive a layer ----------------------------------------------------------
include $(wildcard loader/*/module.mk policy/module.mk ipam/module.mk cni/module.mk selftests/module.mk)

# $(call layer,name,folder): $(BUILD)/lib<name>.a from the folder's sources
define layer_rules
$(1)_SRC := $$(wildcard $(2)/*.c)
$(1)_OBJ := $$($(1)_SRC:%.c=$$(BUILD)/%.o)
$$(BUILD)/lib$(1).a: $$($(1)_OBJ)
	$$(call say,AR,$$@) rm -f $$@ && $$(AR) rcsD $$@ $$^
endef
$(foreach l,base dataplane model datastore controller state sync,$(eval $(call layer_rules,$(l),loader/$(l))))
$(eval $(call layer_rules,policy,policy))
$(eval $(call layer_rules,ipam,ipam))
$(eval $(call layer_rules,cni,cni))
$(eval $(call layer_rules,ctl,loader/ctl))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CFLAGS) $(EXTRA_CFLAGS) -c $< -o $@

# One file knows the skeleton.
$(BUILD)/loader/dataplane/object.o: $(SKEL)

# From users to used; a static link needs this order.
LIBS_ALL := cni sync state policy controller ipam datastore dataplane model base
ARCHIVES := $(LIBS_ALL:%=$(BUILD)/lib%.a)
# Of libcrypto the digests alone (base/sha.h).
STATIC_CRYPTO := -Wl,-Bstatic -lcrypto -Wl,-Bdynamic
SYSTEM_LIBS := -lbpf -lelf -lz -lnl-route-3 -lnl-genl-3 -lnl-3 -lyaml -ljansson -lcurl \
	-levent_core -levent_extra $(STATIC_CRYPTO) -lcap -lseccomp

# --- programs --------------------------------------------------------------------------------
AGENT_SRC := $(wildcard loader/agent/*.c)
CTL_SRC := $(wildcard loader/ctl/*.c)
CONTROLLER_SRC := $(wildcard loader/controller/program/*.c)
CNI_SRC := $(wildcard cni/plugin/*.c)
IPAM_PLUGIN_SRC := $(wildcard ipam/plugin/*.c)
PROGRAMS := $(if $(AGENT_SRC),$(BUILD)/margay-agent) $(if $(CTL_SRC),$(BUILD)/margayctl) \
	$(if $(CONTROLLER_SRC),$(BUILD)/margay-controller) \
	$(if $(CNI_SRC),$(BUILD)/margay) $(if $(IPAM_PLUGIN_SRC),$(BUILD)/margay-ipam)

$(BUILD)/margay-agent: $(AGENT_SRC:%.c=$(BUILD)/%.o) $(ARCHIVES)
$(BUILD)/margayctl: $(CTL_SRC:%.c=$(BUILD)/%.o) $(ARCHIVES)
$(BUILD)/margay-controller: $(CONTROLLER_SRC:%.c=$(BUILD)/%.o) $(ARCHIVES)
$(BUILD)/margay-agent $(BUILD)/margayctl $(BUILD)/margay-controller:
	$(call say,LINK,$@) $(CC) $(ALL_CFLAGS) -pie $(LDFLAGS) $(SHSTK) $^ $(SYSTEM_LIBS) -o $@

# The CNI plugins run from the host's /opt/cni/bin: no shared libraries.
$(BUILD)/margay: $(CNI_SRC:%.c=$(BUILD)/%.o) $(ARCHIVES)
$(BUILD)/margay-ipam: $(IPAM_PLUGIN_SRC:%.c=$(BUILD)/%.o) $(ARCHIVES)
$(BUILD)/margay $(BUILD)/margay-ipam:
	$(call say,LINK,$@) $(CC) $(ALL_CFLAGS) $(if $(SAN),-pie,-static-pie) $(LDFLAGS) $^ \
		-lbpf -lelf -lz -lzstd -lnl-route-3 -lnl-3 -ljansson -lyaml -lcrypto -lpthread -o $@

.DEFAULT_GOAL := all
all: $(if $(BPF_SRC),$(SKEL)) $(PROGRAMS) ## build everything

# --- tests -----------------------------------------------------------------------------------
UNIT_SRC := $(wildcard selftests/unit/test_*.c)
PROG_SRC := $(wildcard selftests/prog/test_*.c)
UNIT := $(UNIT_SRC:%.c=$(BUILD)/%)
PROG := $(PROG_SRC:%.c=$(BUILD)/%)
BENCH := $(patsubst %.c,$(BUILD)/%,$(wildcard selftests/bench/bench_*.c))
TESTLIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard selftests/lib/*.c))

$(UNIT) $(PROG) $(BENCH): $(BUILD)/%: $(BUILD)/%.o $(TESTLIB_OBJ) $(BUILD)/libctl.a $(ARCHIVES)
	$(call say,LINK,$@) $(CC) $(ALL_CFLAGS) -pie $(LDFLAGS) $^ -lcmocka $(SYSTEM_LIBS) -o $@
$(BUILD)/selftests/unit/test_privileges: $(BUILD)/loader/agent/privileges.o
$(BUILD)/selftests/unit/test_counters: $(BUILD)/loader/agent/counters_flow.o $(BUILD)/loader/agent/counters_kept.o
$(PROG:%=%.o) $(BENCH:%=%.o) $(TESTLIB_OBJ): $(if $(BPF_SRC),$(SKEL))

tests: $(UNIT) $(PROG) $(BENCH) ## build the test programs

# Fuzz targets are a build of their own, by clang: make fuzz calls make again with these settings.
FUZZ_SECONDS ?= 20
FUZZ := $(patsubst %.c,$(BUILD)/%,$(wildcard selftests/fuzz/fuzz_*.c))
FUZZ_LIBS := cni ipam datastore model base
$(FUZZ): $(BUILD)/%: $(BUILD)/%.o $(FUZZ_LIBS:%=$(BUILD)/lib%.a)
	$(call say,LINK,$@) $(CC) $(SANFLAGS) -fsanitize=fuzzer $^ $(SYSTEM_LIBS) -o $@
fuzz-run: $(FUZZ)
	$(Q)selftests/fuzz/run $(FUZZ_SECONDS) $(FUZZ)
fuzz: ## fuzz each parser for FUZZ_SECONDS (20)
	$(Q)$(MAKE) --no-print-directory fuzz-run BUILD=$(BUILD)/fuzz CC=$(CLANG) WARN=-w \
		SAN=fuzzer-no-link,address,undefined

check-unit: $(UNIT) ## unit tests
	$(Q)selftests/run unit $(UNIT)
check-agent: all ## the agent, margayctl and the plugins between namespaces, one file of tests (root)
	$(Q)selftests/run agent selftests/net/test_agent.py
# Leaks are looked for in the unit tests; in the agent its own filter of system calls forbids it (ptrace).
check-san: ## unit and agent tests built with address and undefined behaviour sanitizers
	$(Q)status=0; mkdir -p $(BUILD)/results; : >$(BUILD)/results/sanitizers.tsv; \
		for part in unit agent; do \
			[ $$part = unit ] || export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1; \
			$(MAKE) --no-print-directory SAN=address,undefined BUILD=$(BUILD)/san check-$$part || status=$$?; \
			sed "s/^$$part/sanitizers/" $(BUILD)/san/results/$$part.tsv >>$(BUILD)/results/sanitizers.tsv; \
		done; exit $$status
check-prog: $(PROG) ## packet fixtures and property tests through the loaded programs (root)
	$(Q)selftests/run prog $(PROG)
check-cli: all ## margayctl on a store
	$(Q)selftests/run cli selftests/cli
check-net: all longer-rows ## tests between namespaces (root)
	$(Q)selftests/run net selftests/net selftests/net/wire selftests/cni
# What the cluster is made of is built once (selftests/kube/build); where it cannot be, the tests are skipped and say so.
check-cluster: image manifests ## a real Kubernetes cluster of two nodes in namespaces (root, Go; builds Kubernetes once)
	$(Q)selftests/kube/build || echo "Kubernetes' programs are not built: no cluster"
	$(Q)TEST_JOBS=1 CASE_TIMEOUT=900 TEST_TIMEOUT=2400 selftests/run cluster selftests/cluster
check-kernels: all $(PROG) bench-tools ## packet and net tests, instruction counts under Debian's kernels (KERNELS="6.1")
	$(Q)selftests/kernels/run $(PROG)
check-fast: lint all ## lint, unit, packet fixtures: for every commit
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)selftests/run fast $(UNIT) $(PROG)
check: ## everything a landing needs; last line: N passed, N failed
	$(Q)selftests/check
check-long: deps ## make check's tests at full size, hours; PART="fuzz churn", see selftests/check-long --list
	$(Q)$(MAKE) --no-print-directory all tests longer-rows
	$(Q)selftests/check-long $(PART)

demo: deps ## three nodes, pods, policy, tunnels, a crash, a clean leave (root); STEP=name, KEEP=1
	$(Q)$(MAKE) --no-print-directory all
	$(Q)python3 selftests/demo/demo.py
demo-clean: ## end a demo that KEEP=1 left standing
	$(Q)python3 selftests/demo/demo.py --clean

readme: ## write README's table of features from the results of make check
	$(Q)selftests/readme/table

deps: ## install what building and testing needs (apt, venv)
	$(Q)selftests/deps

check-reproducible: ## two builds at two places are byte-identical
	$(Q)selftests/reproducible

sbom: all ## what the programs are made of, as SPDX JSON in build/margay.spdx.json
	$(Q)selftests/sbom

.PHONY: check-reproducible sbom

lint: abi-check ## format, clang-tidy, include arrows, ABI padding, sizes, licence lines, shellcheck
	$(Q)selftests/lint/run

# The ABI holds no implicit padding, on the host's and on the BPF target.
abi-check:
	$(Q)mkdir -p $(BUILD)/gen
	$(Q)ls bpf/abi/*.h | sed 's|bpf/\(.*\)|#include "\1"|' > $(BUILD)/gen/abi_check.c
	$(Q)for target in "" "-target bpf"; do $(CLANG) $$target -std=gnu17 -Ibpf $(ARCH_INCLUDE) -Wall -Wextra \
		-Wpadded -Werror -fsyntax-only $(BUILD)/gen/abi_check.c || exit 1; done

# Debian's folder for CNI plugins; most runtimes look into /opt/cni/bin too.
CNI_BIN ?= /opt/cni/bin
install: all ## put everything into DESTDIR: programs, unit, configuration, pages, completion
	$(Q)install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(CNI_BIN) \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)/lib/systemd/system $(DESTDIR)/etc/cni/net.d
	$(Q)install -d -m 0755 $(DESTDIR)/etc/margay $(DESTDIR)/etc/margay/manifests.d
	$(Q)install -m 0755 $(BUILD)/margay-agent $(DESTDIR)$(PREFIX)/sbin/
	$(Q)install -m 0755 $(BUILD)/margayctl $(DESTDIR)$(PREFIX)/bin/
	$(Q)ln -sf margayctl $(DESTDIR)$(PREFIX)/bin/kubectl-margay
	$(Q)install -m 0755 $(BUILD)/margay $(BUILD)/margay-ipam $(DESTDIR)$(CNI_BIN)/
	$(Q)sed 's|/usr/sbin/|$(PREFIX)/sbin/|' manifests/host/margay-agent.service \
		> $(DESTDIR)/lib/systemd/system/margay-agent.service
	$(Q)chmod 0644 $(DESTDIR)/lib/systemd/system/margay-agent.service
	$(Q)[ -e $(DESTDIR)/etc/margay/agent.yaml ] || \
		install -m 0600 manifests/host/agent.yaml $(DESTDIR)/etc/margay/agent.yaml
	$(Q)[ -e $(DESTDIR)/etc/cni/net.d/10-margay.conflist ] || \
		install -m 0644 manifests/host/10-margay.conflist $(DESTDIR)/etc/cni/net.d/
	$(Q)install -m 0644 manifests/host/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	$(Q)install -m 0644 manifests/host/margayctl.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/margayctl

format: ## put every C file into shape
	$(Q)git ls-files '*.c' '*.h' | xargs $(CLANG_FORMAT) -i

manifests: ## what kubectl apply -f takes, in build/margay.yaml
	$(Q)mkdir -p $(BUILD) && manifests/render
image: sbom ## the container image, an OCI archive in build/margay-image.tar
	$(Q)manifests/image/build

docs: $(BUILD)/selftests/lint/crds ## write what is made from the sources: pages, CRDs, the table of long runs
	$(Q)selftests/check-long --docs
	$(Q)selftests/lint/maps > docs/maps.md
	$(Q)$< manifests/crds

clean: ## remove everything that was made
	$(Q)rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

PYTHONDONTWRITEBYTECODE := 1
export PYTHONDONTWRITEBYTECODE BUILD


.PHONY: fuzz fuzz-run check-kernels check-cluster demo demo-clean all tests check check-fast check-long check-unit check-prog check-cli check-net deps lint abi-check format docs clean help
.PHONY: install image manifests readme check-san check-agent

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
