# mebench. `make help` lists the targets.
#
# Each folder is an archive. DEPS_x is the one table of who may use whom (CONTRIBUTING.md): a folder's
# tests link with exactly that, so a forbidden use does not link, and `make lint` checks the includes.

BUILD    ?= build
CC       ?= cc
NVCC     ?= $(or $(shell command -v nvcc 2>/dev/null),$(wildcard /usr/local/cuda/bin/nvcc))
CUDA     ?= $(if $(NVCC),1,0)
FIXTURES ?= ../shared/fixtures
PREFIX   ?= /usr/local
PERF     ?=

FOLDERS := $(foreach f,core nn motion metrics tmr models baselines reports eval,$(if $(wildcard $(f)/*.c),$(f)))

DEPS_core      :=
DEPS_nn        := core
DEPS_motion    := core
DEPS_metrics   := core motion
DEPS_tmr       := core nn motion
DEPS_models    := core nn motion metrics tmr
DEPS_baselines := core nn motion metrics tmr models
DEPS_reports   := core metrics
DEPS_eval      := core nn motion metrics tmr models baselines reports

# ---- flags -----------------------------------------------------------------------------------------
OPT      ?= -O3 -g
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(CI),-Werror)
VERSION  := 0.1.0
GIT      := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
CPPFLAGS += -I. -D_GNU_SOURCE
OPENMP   ?= -fopenmp
CFLAGS   += -std=c11 $(OPT) $(WARN) $(SAN) $(OPENMP) -MMD -MP
ARCH     := $(shell uname -m)

# The numbers of metrics/ and motion/ must not depend on whether a compiler fuses a multiply and an add. Without errno
# and traps it takes motion/'s square roots and quotients several at a time; their bits stay.
CFLAGS_metrics := -ffp-contract=off
CFLAGS_motion  := -ffp-contract=off -fno-math-errno -fno-trapping-math
CFLAGS_core    := -Wconversion -Wno-sign-conversion
# nn/cpu is compiled for AVX2 machines and says so when it meets another (nn/cpu/cpu_backend.c).
CFLAGS_nn      := $(if $(filter x86_64,$(ARCH)),-march=x86-64-v3) -fno-math-errno -fno-trapping-math \
                  $(shell pkg-config --cflags openblas 2>/dev/null)

NVCCFLAGS := -O3 -I. -std=c++17 -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_80,code=compute_80 \
             --expt-relaxed-constexpr --extended-lambda -Xcompiler -Wall,-Wextra,-Wno-unused-parameter -lineinfo $(NVCC_EXTRA)
CUDA_HOME := $(if $(NVCC),$(patsubst %/bin/nvcc,%,$(realpath $(NVCC))))

LIBS_core := -lcjson -lcsv -lzip -lz -lbz2 -llzma -llz4 -lm
LIBS_nn   := $(shell pkg-config --libs openblas 2>/dev/null || echo -lopenblas) -lutf8proc -lm
# cuBLAS is opened when a GPU is used, not linked: the binary starts on machines that have neither.
LIBS_cuda := $(if $(filter 1,$(CUDA)),-L$(CUDA_HOME)/lib64 -lcudart_static -lstdc++ -ldl -lrt -lpthread)
LIBS = $(LIBS_nn) $(LIBS_core) $(LIBS_cuda) -lpthread -lm

# ---- objects ---------------------------------------------------------------------------------------
SRC_core := $(wildcard core/*.c)
SRC_nn   := $(wildcard nn/*.c nn/cpu/*.c)
SRC_eval := $(wildcard eval/*.c eval/commands/*.c)
$(foreach f,motion metrics tmr models baselines reports,$(eval SRC_$(f) := $(wildcard $(f)/*.c)))
CU_nn    := $(if $(filter 1,$(CUDA)),$(wildcard nn/cuda/*.cu))

obj = $(patsubst %.c,$(BUILD)/%.o,$(filter %.c,$(1))) $(patsubst %.cu,$(BUILD)/%.cu.o,$(filter %.cu,$(1)))
lib = $(1:%=$(BUILD)/lib%.a)

.PHONY: all
## all: build everything, with CUDA where nvcc is found (CUDA=0 leaves it out)
all: $(BUILD)/mebench

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_$(firstword $(subst /, ,$*))) $(if $(filter 1,$(CUDA)),-DNN_WITH_CUDA) \
	    -DME_VERSION='"$(VERSION)"' -c -o $@ $<

# The commit is known to one object only, rebuilt when it changes.
$(BUILD)/git.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(GIT)' | cmp -s - $@ || echo '$(GIT)' > $@
$(BUILD)/core/version.o: $(BUILD)/git.stamp
$(BUILD)/core/version.o: CPPFLAGS += -DME_GIT='"$(GIT)"'
FORCE:

$(BUILD)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

# -MMD does not see what the assembler includes.
$(BUILD)/reports/published.o: reports/published.json
$(BUILD)/eval/commands/cmd_reproduce.o: eval/reproduce_example.json

define archive
$(BUILD)/lib$(1).a: $(call obj,$(SRC_$(1)) $(CU_$(1)))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive,$(f))))

libs = -Wl,--start-group $(call lib,$(filter $(FOLDERS),$(1))) -Wl,--end-group

$(BUILD)/mebench: $(call lib,$(FOLDERS))
	$(CC) $(CFLAGS) -o $@ -Wl,--whole-archive $(BUILD)/libeval.a -Wl,--no-whole-archive \
	    $(call libs,$(FOLDERS)) $(LIBS)

# ---- tests -----------------------------------------------------------------------------------------
# One Criterion binary a folder, linked with that folder and its DEPS alone. eval/main.c holds main().
TESTED := $(foreach f,$(FOLDERS),$(if $(wildcard tests/unit/test_$(f)_*.c),$(f)))
define unit_test
$(BUILD)/test-$(1): $(call obj,$(wildcard tests/unit/test_$(1)_*.c)) $(call lib,$(filter $(FOLDERS),$(1) $(DEPS_$(1))))
	$(CC) $(CFLAGS) -o $$@ $$(filter %.o,$$^) $$(call libs,$(1) $(DEPS_$(1))) -lcriterion $(LIBS)
.PHONY: test-$(1)
test-$(1): $(BUILD)/test-$(1)
	$(BUILD)/test-$(1) $(TEST_ARGS)
endef
$(foreach f,$(TESTED),$(eval $(call unit_test,$(f))))

# ---- set-up ----------------------------------------------------------------------------------------
PACKAGES := gcc libc6-dev make pkg-config libcjson-dev libcsv-dev libcriterion-dev libopenblas-dev zlib1g-dev \
            libzip-dev liblzma-dev libbz2-dev liblz4-dev libutf8proc-dev assimp-testmodels

.PHONY: deps
## deps: install what is missing with apt (asks for sudo only when it must)
deps:
	@missing=; for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	    echo "installing:$$missing"; as=; [ "$$(id -u)" = 0 ] || as=sudo; \
	    $$as apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi

# A fresh machine has no pkg-config when this file is first read, so what needs it runs in a second make.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# ---- the targets a person calls --------------------------------------------------------------------
.PHONY: demo test test-unit test-cli test-long test-asan parity bench fuzz lint format install uninstall

## demo: set up, build, then edit a synthetic benchmark with the shipped editor, cut pairs from real mocap, evaluate both
demo: deps
	@$(MAKE) --no-print-directory -s -j$(JOBS) all
	@BUILD=$(BUILD) sh tests/demo.sh

## test: set up, build, unit tests of every folder, CLI tests
test: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all $(TESTED:%=$(BUILD)/test-%)
	@$(MAKE) --no-print-directory test-unit test-cli

test-unit: $(TESTED:%=$(BUILD)/test-%)
	@BUILD=$(BUILD) sh tests/unit/run.sh $(TESTED:%=$(BUILD)/test-%)

## test-cli: the program's exact output on small inputs (UPDATE=1 rewrites what is expected)
test-cli: $(BUILD)/mebench
	@BUILD=$(BUILD) UPDATE=$(UPDATE) sh tests/cli/run.sh

## test-long: a hundred training runs killed at random moments, each resumed bit-equal
test-long: $(BUILD)/mebench
	MEBENCH=$(BUILD)/mebench sh tests/tools/kill_resume.sh 100 $(or $(DEVICE),cpu) 7

## test-asan: the same under AddressSanitizer and UndefinedBehaviorSanitizer
test-asan: deps
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)-asan CUDA=0 OPT="-O1 -g" \
	    SAN="-fsanitize=address,undefined -fno-omit-frame-pointer" all test-unit test-cli

$(BUILD)/parity: $(call obj,$(wildcard tests/parity/*.c)) $(call lib,$(FOLDERS))
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) $(call libs,$(FOLDERS)) $(LIBS)

## parity: every case of FIXTURES (default ../shared/fixtures) against its known answers
parity: $(BUILD)/parity
	$(BUILD)/parity --device $(or $(DEVICE),cpu) $(FIXTURES)

BENCH_FOLDERS := core nn motion metrics tmr
$(BUILD)/bench-%: $(BUILD)/tests/perf/bench_%.o $(call lib,$(BENCH_FOLDERS))
	$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) $(call libs,$(BENCH_FOLDERS)) $(LIBS)

## bench: one line per speed figure, beside the PyTorch reference that TORCH_ANCHOR names
bench: $(BUILD)/mebench $(BUILD)/bench-embed $(BUILD)/bench-process
	@BUILD=$(BUILD) FIXTURES=$(FIXTURES) sh tests/perf/bench.sh

# ---- fuzzing: clang's libFuzzer, one target a reader, seeds in tests/fuzz/corpus -----------------------
FUZZERS   := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_TIME ?= 60
FUZZ_SAN  := address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(call lib,core motion)
	clang -g -O1 -fsanitize=fuzzer,$(FUZZ_SAN) $(CPPFLAGS) -o $@ $< $(call libs,core motion) $(LIBS_core) -lpthread
.PHONY: fuzzers
fuzzers: $(FUZZERS:%=$(BUILD)/fuzz_%)

## fuzz: every reader for FUZZ_TIME seconds each (default 60) under ASan and UBSan
fuzz:
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)-fuzz CUDA=0 CC=clang OPENMP= OPT="-O1 -g" \
	    SAN="-fsanitize=fuzzer-no-link,$(FUZZ_SAN)" fuzzers
	@BUILD=$(BUILD)-fuzz sh tests/fuzz/run.sh $(FUZZ_TIME) $(FUZZERS)

# ---- lint ------------------------------------------------------------------------------------------
TRACKED = $(shell git ls-files '*.c' '*.h' 2>/dev/null)

## lint: layers, doors, symbols, kernels, format; what clang-tidy remarks, where it is installed
lint: $(call lib,$(FOLDERS))
	@sh tests/lint.sh $(BUILD) $(foreach f,$(FOLDERS),"$(f):$(DEPS_$(f))")
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $(TRACKED) && echo "format: ok"; \
	    else echo "format: skipped (no clang-format)"; fi
	@if command -v clang-tidy >/dev/null && [ -z "$(NO_TIDY)" ]; then \
	    clang-tidy --quiet $(SRC_core) $(SRC_motion) $(SRC_metrics) $(SRC_reports) $(SRC_tmr) $(SRC_eval) -- -std=c11 $(CPPFLAGS) \
	        -DME_VERSION='"lint"' 2>/dev/null | awk '/(warning|error):/ {print; n++} END {print "tidy: " n + 0 " remarks (advice)"}'; \
	    else echo "tidy: skipped"; fi

## format: clang-format in place
format:
	clang-format -i $(TRACKED)

# ---- install ---------------------------------------------------------------------------------------
## install: program, man page and shell completion under PREFIX (default /usr/local)
install: $(BUILD)/mebench
	install -Dm755 $(BUILD)/mebench $(DESTDIR)$(PREFIX)/bin/mebench
	install -Dm644 tmr/shipped.safetensors $(DESTDIR)$(PREFIX)/share/mebench/tmr.safetensors
	install -Dm644 models/shipped.safetensors $(DESTDIR)$(PREFIX)/share/mebench/editor.safetensors
	install -Dm644 eval/mebench.1 $(DESTDIR)$(PREFIX)/share/man/man1/mebench.1
	install -Dm644 eval/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mebench

## uninstall: remove what install put there
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/mebench $(DESTDIR)$(PREFIX)/share/mebench/tmr.safetensors \
	    $(DESTDIR)$(PREFIX)/share/mebench/editor.safetensors $(DESTDIR)$(PREFIX)/share/man/man1/mebench.1 \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mebench

.PHONY: help
## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk -F': ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: clean
## clean: remove what was built
clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
