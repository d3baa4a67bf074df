# What people do with this repository. `make` alone lists it.

.DEFAULT_GOAL := help
SHELL := /bin/bash
target := $(or $(CARGO_TARGET_DIR),target)

# A fresh rustup has not reached the PATH of shells that were open before it.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Newer or older ones may place files differently: this is the one that is tested.
cargo_deb_version := 3.8.0

.PHONY: help demo chronos-sim marathon-sim test bench deb lint fmt clean cargo

help: ## this list
	@echo 'SmartStack: one daemon per host that registers tasks, keeps HAProxy right and answers health checks.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'Start with `make demo`. What is missing (HAProxy, Docker, ...) is installed from Debian'\''s packages,'
	@echo 'with sudo where that is needed. Options: make demo ARGS=--no-docker, CARGO_TARGET_DIR=DIR.'

demo: cargo ## watch it work on this machine; Ctrl-C ends it and cleans up
	@packaging/install-dependencies demo
	@cargo build --locked -p agent
	@exec $(target)/debug/smartstack demo $(ARGS)

chronos-sim: cargo ## a simulated Chronos with jobs that run, by hand; Ctrl-C ends it
	@packaging/install-dependencies build
	@cargo build --locked -p end-to-end --bin chronos-sim
	@exec $(target)/debug/chronos-sim $(ARGS)

marathon-sim: cargo ## a simulated Marathon to deploy to by hand; Ctrl-C ends it
	@packaging/install-dependencies build
	@cargo build --locked -p end-to-end --bin marathon-sim
	@exec $(target)/debug/marathon-sim $(ARGS)

test: cargo ## every test, against the real ZooKeeper, HAProxy and Docker
	@packaging/install-dependencies test
	@packaging/install-envoy $(target)/tools/envoy
	cargo build --locked --workspace
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --locked --workspace; \
	else \
		set -x; cargo test --locked --workspace; \
	fi

bench: cargo ## measure it, beside what limits it and what it replaces
	@packaging/install-dependencies bench
	cargo build --locked --release --workspace
	cargo run --locked --release -p benches --bin bench-soa-configs
	cargo run --locked --release -p benches --bin bench-hacheck
	cargo run --locked --release -p benches --bin bench-master
	cargo run --locked --release -p benches --bin bench-chronos
	cargo run --locked --release -p benches --bin bench-registration
	cargo run --locked --release -p benches --bin bench-churn
	cargo run --locked --release -p benches --bin bench-discovery
	cargo run --locked --release -p benches --bin bench

# Standard output is the path of the package and nothing else, for scripts.
deb: cargo ## the Debian package; prints its path
	@packaging/install-dependencies deb
	@cargo build --locked --release -p agent -p hacheck -p paasta-master
	@PATH="$(target)/tools/bin:$$PATH"; \
	if [ "$$(cargo deb --version 2>/dev/null)" != "cargo-deb $(cargo_deb_version)" ]; then \
		echo 'Installing cargo-deb $(cargo_deb_version) into $(target)/tools: it builds the package.' >&2; \
		cargo install --locked --version $(cargo_deb_version) --root $(target)/tools cargo-deb >&2 || exit; \
	fi; \
	cargo deb --locked --no-build -p agent

lint: cargo ## formatting and clippy, warnings as errors
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

fmt: cargo ## format the sources
	cargo fmt

clean: cargo ## remove everything that was built
	@# The clean Debian of the package's test belongs to root.
	@[ ! -d $(target)/clean-root ] || [ -w $(target)/clean-root ] || \
		sudo rm -rf --one-file-system $(target)/clean-root
	cargo clean

cargo:
	@command -v cargo >/dev/null || { \
		if [ -n "$$SUDO_USER" ]; then \
			echo "cargo is not on root's PATH. Run make without sudo: it asks for sudo itself where it must." >&2; \
		else \
			echo 'cargo is not installed. Get Rust from https://rustup.rs, then run make again.' >&2; \
		fi; \
		exit 1; \
	}
