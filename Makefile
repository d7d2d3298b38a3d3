# What there is to do here. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

certmill := target/release/certmill

.PHONY: help run test check bench image schemas demo golden nightly clean-tools release

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: release ## build the CA and run it on https://localhost:14000 with its data in ./data
	@exec $(certmill) serve --config config/dev.toml

test: ## install what the tests need, then run all of them
	scripts/test-tools
	scripts/tools-env cargo build --workspace
	scripts/tools-env cargo test --workspace --doc --quiet
	scripts/tools-env cargo nextest run --workspace

check: ## format, lints, licences and banned crates, documentation
	scripts/build-tools lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/check-dependencies
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

bench: release ## issue certificates against this CA, Pebble and Caddy side by side; ARGS are passed on
	scripts/test-tools
	cargo build --release -p load --target-dir target
	scripts/tools-env target/release/load $(ARGS)

image: release ## build the OCI image, its bill of materials and licences in target/image
	scripts/image
	scripts/sbom

schemas: ## write the JSON Schemas and the OpenAPI document to ./schemas, and docs/configuration.md
	scripts/build-tools
	cargo run --quiet -p certmill -- schemas schemas
	cargo run --quiet -p certmill -- reference > docs/configuration.md

demo: release ## run the CA, let a real client get a certificate from it, show it, stop
	scripts/demo

golden: ## write anew what tests compare the chart and the metrics with: look at the difference
	scripts/tools-env cargo build -p certmill
	CERTMILL_RENEW=1 scripts/tools-env cargo nextest run -p acceptance --test kubernetes --test-threads 1

nightly: ## run the tests with the long rounds that make test shortens
	scripts/test-tools nightly
	scripts/tools-env cargo build --workspace
	CERTMILL_NIGHTLY=1 scripts/tools-env cargo nextest run --workspace --profile nightly --run-ignored all

clean-tools: ## remove the tools that make test unpacked
	rm -rf target/tools

release:
	scripts/build-tools
	cargo build --release -p certmill --target-dir target
