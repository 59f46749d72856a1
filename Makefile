# What a newcomer, a developer and CI run. Each target installs what it needs and says so.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where the test peers live: a strict S3 server, an S3 and STS simulator, emulators of other clouds,
# SQL clients, independent readers.
export PEERS_DIR ?= $(CURDIR)/.peers

.PHONY: help demo test soak bench fuzz lint fmt peers clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## build the server and take the tour; ARGS=--once stops after it
	@echo "Lakeport demo: builds the server in the dev profile. A first build takes 15 to 20 minutes on 2 idle cores, a later one seconds."
	tests/install build
	cargo build --package lakeport
	cargo run --quiet --package lakeport -- demo $(ARGS)

test: ## everything CI runs: format, lints, unit tests, SQL tests, clients
	@echo "Lakeport tests: about 32 minutes on 2 idle cores from nothing, about 7 once it is built."
	tests/install build runner peers
	$(MAKE) --no-print-directory lint
	tests/run

soak: ## kill the server 500 times and look; writes docs/soak.md. ARGS="--kills 100 --seed 1"
	@echo "Lakeport soak: builds the server, then kills it 500 times: about 20 minutes on 2 idle cores."
	tests/install build peers
	cargo build --package lakeport
	PYTHONPATH=tests $(PEERS_DIR)/clients/bin/python -m faults.walk target/debug/lakeport --report docs/soak.md $(ARGS)

bench: ## speed beside DuckDB, PostgreSQL, restic and others; ARGS="--small" or names of lines
	@echo "Lakeport benchmark: a release build (45 minutes the first time, 10 later, on 2 cores), then about 60 minutes, or 15 with --small."
	tests/install build bench
	cargo build --release --package lakeport
	$(PEERS_DIR)/bench/bin/python -m bench $(ARGS)

fuzz: ## made-up input for one decoder; ARGS="target seconds", none lists the targets
	@echo "Lakeport fuzzing: a first build takes minutes, a later one seconds."
	tests/install build fuzz
	fuzz/run $(ARGS)

lint: ## format and clippy, warnings are errors
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings

fmt: ## format all code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

peers: ## install the test peers only
	tests/install peers

clean: ## remove build output and test peers
	cargo clean
	rm -rf .peers
