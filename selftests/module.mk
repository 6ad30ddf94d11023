# SPDX-License-Identifier: Apache-2.0
# BPF objects of the tests: stand-ins for the product's, in variants.

TINY := $(addprefix $(BUILD)/selftests/bpf/,tiny.o tiny2.o broken.o longer.o)
$(BUILD)/selftests/bpf/tiny.o: TINY_FLAGS := -DTINY_TAG=1
$(BUILD)/selftests/bpf/tiny2.o: TINY_FLAGS := -DTINY_TAG=2
$(BUILD)/selftests/bpf/broken.o: TINY_FLAGS := -DTINY_TAG=3 -DTINY_BROKEN
$(BUILD)/selftests/bpf/longer.o: TINY_FLAGS := -DTINY_TAG=4 -DTINY_LONGER

$(TINY): selftests/bpf/tiny.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@) $(CLANG) $(BPF_CFLAGS) $(TINY_FLAGS) -c $< -o $@

$(patsubst %.c,$(BUILD)/%,$(wildcard selftests/prog/test_*.c)): | $(TINY)

# An agent whose flow and policy rows are longer, for upgrade and downgrade between two layouts.
.PHONY: longer-rows
longer-rows:
	$(Q)selftests/lib/longer_rows $(BUILD)/longer/include
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/longer ABI=$(BUILD)/longer/include CFLAGS=-O1 \
		$(BUILD)/longer/margay-agent

# Helpers of selftests/bench/run, which stand alone.
BENCH_TOOLS := $(patsubst %,$(BUILD)/selftests/bench/%,rr runtime verdict)
$(BENCH_TOOLS): $(BUILD)/%: $(BUILD)/%.o
	$(call say,LINK,$@) $(CC) $(ALL_CFLAGS) -pie $(LDFLAGS) $^ -o $@
$(BUILD)/selftests/bench/peer.o: selftests/bench/peer.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@) $(CLANG) $(BPF_CFLAGS) -c $< -o $@

.PHONY: bench bench-tools
bench-tools: $(BENCH_TOOLS) $(BUILD)/selftests/bench/peer.o
bench: $(BENCH) bench-tools all ## figures beside their references into build/bench.md (root); BENCH_QUICK=1
	$(Q)python3 selftests/bench/run

# What writes manifests/crds.
$(BUILD)/selftests/lint/crds: $(addprefix $(BUILD)/,selftests/lint/crds.o selftests/lib/crd_text.o libmodel.a libbase.a)
	$(call say,LINK,$@) $(CC) $(ALL_CFLAGS) -pie $(LDFLAGS) $^ $(SYSTEM_LIBS) -o $@
