# Two commands: `make run` and `make test`. Each does all the set-up it needs.

DEMO ?= 1
ifeq ($(DEMO),1)
RUN_FLAGS := --demo --data-dir ./data/demo
else
RUN_FLAGS := --data-dir ./data
endif
ARGS ?=

CARGO := cargo
export CARGO_NET_RETRY := 5

.PHONY: run test web build lint bench setup clean

# Build (web included) and start a node on loopback; DEMO=0 starts it empty.
run: web
	$(CARGO) build --locked --profile quick
	exec ./target/quick/ringwell serve $(RUN_FLAGS) $(ARGS)

# Install what tests need, then run them all.
test: setup web
	$(CARGO) build --locked --workspace --bins
	$(CARGO) nextest run --locked --workspace --no-fail-fast
	$(CARGO) test --locked -p ringwell-storage --features mutants --test simulate --test flips every_planted
	$(CARGO) run --locked --example embed
	$(CARGO) test --locked --workspace --doc
	cd web && npm test
	RINGWELL_BIN=$(CURDIR)/target/debug/ringwell npm --prefix web run e2e

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	cd web && npm run lint

web: web/dist/index.html

web/dist/index.html: web/package-lock.json web/index.html web/vite.config.ts $(shell find web/src -type f 2>/dev/null)
	cd web && npm ci --no-audit --no-fund && npm run build
	touch $@

# Debian packages and Python libraries that tests drive the node with.
setup:
	tests/setup.sh

# Base lines beside Prometheus and VictoriaMetrics, in one run; prints docs/performance.md's tables.
bench: setup
	benches/run.sh

clean:
	$(CARGO) clean
	rm -rf web/dist/* web/node_modules
