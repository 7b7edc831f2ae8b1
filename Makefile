# One line of meaning for each target: `make help`.

# Machines that pin an older Go (GOTOOLCHAIN=local, or a distribution's package) still fetch the release that go.mod asks for.
export GOTOOLCHAIN = auto

# Pure Go, whether or not there is a C compiler: a dependency would bring a library in C that takes a minute to compile. The race detector needs one.
export CGO_ENABLED ?= 0

GO           ?= go
KILLS        ?= 100
SEEDS        ?= 2000
FUZZTIME     ?= 20s
BENCH        ?= .
BENCHTIME    ?= 1s
TESTFLAGS    ?=
LARGEFLAGS   ?=
FRAUDFLAGS   ?=
NEXMARKFLAGS ?=
LATENCYFLAGS ?=
PEERSFLAGS   ?=
CURVESFLAGS  ?=
TEST_TIMEOUT ?= 9m
LINT          = $(GO) tool -modfile=tools/go.mod golangci-lint

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help setup build test check lint fmt vet race bench nexmark latency curves peers large reference chaos sim demo fraud fuzz extremes clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: # called by the others: a Go that can fetch the release named in go.mod is all that is needed
	@command -v $(GO) >/dev/null 2>&1 || { \
	  echo "Go is missing. Install Go 1.21 or later, from https://go.dev/dl or with: apt-get install golang-go" >&2; exit 1; }
	@$(GO) version >/dev/null || { echo "this Go cannot get the release that go.mod asks for: allow downloads, or install it from https://go.dev/dl" >&2; exit 1; }

build: setup ## compile everything, and the binary into bin/ once there is one
	$(GO) build ./...
	@if [ -d cmd/millrace ]; then CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/millrace; fi

# Compiling takes most of the time on a fresh machine: vet is a target of its own, and nobody debugs these binaries.
test: setup ## all that is needed to trust a checkout: every test, architecture rules included (under 10 minutes on 2 cores)
	$(GO) test -vet=off -gcflags=-dwarf=false -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...

race: ## the same tests under the race detector (needs a C compiler)
	@command -v $${CC:-cc} >/dev/null 2>&1 || { echo "the race detector needs a C compiler: apt-get install gcc libc6-dev" >&2; exit 1; }
	@CGO_ENABLED=1 $(MAKE) test TESTFLAGS="-race $(TESTFLAGS)" TEST_TIMEOUT=30m

check: ## what CI runs: lint, vet, a short chaos run, all tests under the race detector
	@$(MAKE) lint
	@$(MAKE) vet
	@$(MAKE) chaos KILLS=20
	$(GO) test -run TestNoAllocationPerRecord -bench Regression -benchtime 1x ./bench
	@$(MAKE) race

lint: setup ## run the linters of .golangci.yml (the first run builds them, some minutes)
	$(LINT) run --timeout 15m ./...

fmt: setup ## format all Go files
	$(LINT) fmt ./...

vet: setup ## run go vet
	$(GO) vet ./...

bench: setup ## run the benchmarks (BENCH=pattern, BENCHTIME=1s)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./bench/...

nexmark: setup ## run the 24 queries of Nexmark as jobs and as hand-written loops, and compare (NEXMARKFLAGS='-query q5,q7 -parallelism 2')
	$(GO) run ./internal/cmd/nexmark $(NEXMARKFLAGS)

latency: setup ## time records to their results at 1,000 to 1,000,000 a second, beside a bare channel (LATENCYFLAGS=-duration=30s)
	$(GO) run ./bench/latency $(LATENCYFLAGS)

curves: setup ## draw how the cost of a record grows with parallelism, skew, keys and panes (CURVESFLAGS='-only keys -maxkeys 1e8')
	$(GO) run ./bench/curves $(CURVESFLAGS)

peers: setup ## do the same task with Apache Beam and compare results and CPU time (PEERSFLAGS=-events=5000000)
	@# Its go.mod follows that of the repository by itself.
	cd bench/peers && GOFLAGS=-mod=mod $(GO) run . $(PEERSFLAGS)

reference: setup ## compare all reference queries with what three SQL engines computed
	$(GO) run ./internal/cmd/reference

large: setup ## keyed state larger than memory: 50M keys in 512 MB beside all in memory (about half an hour; LARGEFLAGS="-keys 5000000 -memory 64MiB")
	$(GO) run ./internal/cmd/large $(LARGEFLAGS)

chaos: setup ## kill a running job KILLS=100 times and compare its output with what SQL computes
	$(GO) run ./internal/cmd/chaos -kills $(KILLS)

sim: setup ## run random jobs in SEEDS=2000 simulated worlds: crashes, power losses, failing disks, any order of tasks
	$(GO) run ./internal/cmd/sim -seeds $(SEEDS)

demo: setup ## watch a real job run, be killed and go on
	$(GO) run ./examples/flights/demo

fraud: setup ## watch card fraud found at 20,000 payments a second, with latencies (FRAUDFLAGS=-kill)
	$(GO) run ./examples/fraud $(FRAUDFLAGS)

fuzz: setup ## run every fuzz test for FUZZTIME=20s
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
	  done; done

extremes: setup ## records of 100 MB and 10,000,000 keys, which are too large for every run of the tests
	$(GO) test -timeout 30m -count 1 -run TestF36 . ./connect/file -args -full

clean: ## remove what builds, tests and demos left here
	rm -rf bin out checkpoints tmp coverage.out
	find . -name '*.test' -o -name '*.prof' | xargs -r rm -f
