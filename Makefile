# Every target sets up what it needs in .venv and node_modules and may be run first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VYPER_LINT := .venv-vyper-lint
BENCH := .venv-bench

export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help setup demo devnet test audit bench gas gas-snapshot chaos lint abi clean

help:
	@echo "make demo   run the main job on a local chain"
	@echo "make devnet a local chain with oracles, to try commands on until Ctrl-C"
	@echo "make test   run every test of the quick profile"
	@echo "make audit  run the auditors' checks, with a report in build/audit"
	@echo "make bench  measure speed and memory beside peers; ARGS=--quick for a glance"
	@echo "make gas    measure gas and sizes against the snapshot"
	@echo "make chaos  do a thousand kills and other faults to the keeper, build/chaos.json"
	@echo "make lint   check style, types, layers and contracts"

setup: $(VENV)/.ready node_modules/.ready

# The lock files are complete, so `--no-deps`: pip would otherwise look for newer versions of what a
# package asks for with extras, and stop at the first one that the lock file has no hash of.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one with PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Not `npm ci`: it refuses a lock file without the binaries of other platforms, which are optional.
node_modules/.ready: package.json package-lock.json
	npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

$(VYPER_LINT)/.ready: requirements-vyper-lint.lock
	$(PYTHON) -m venv $(VYPER_LINT)
	$(VYPER_LINT)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-vyper-lint.lock
	@touch $@

$(BENCH)/.ready: requirements-bench.lock
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-bench.lock
	@touch $@

# Compiling is part of the set-up: what follows is timed without it.
.cache/.ready: $(VENV)/.ready node_modules/.ready $(wildcard contracts/*.vy contracts/*/*.vy contracts/*/*.vyi)
	$(BIN)/python -m scripts._deployment.artifacts
	$(BIN)/python -m compileall -q $(VENV)/lib src scripts > /dev/null || true
	@mkdir -p .cache && touch $@

demo: setup .cache/.ready
	$(BIN)/python -m scripts.demo

# Most of what takes long waits: for windows, health checks, processes. Four keep two cores busy, by
# stealing to the end.
devnet: setup .cache/.ready
	@$(BIN)/python -m scripts.devnet

test: setup .cache/.ready
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal

audit: setup .cache/.ready
	$(BIN)/python -m scripts.audit

# Silverback, a peer, is measured where it can be installed; without it the rest is.
bench: setup .cache/.ready
	@$(MAKE) --no-print-directory $(BENCH)/.ready || echo "Silverback could not be installed: it is left out"
	$(BIN)/python -W "ignore:Field 'import_remapping'" -m scripts.bench $(ARGS)

gas: setup
	$(BIN)/python scripts/gas.py

gas-snapshot: setup
	$(BIN)/python scripts/gas.py --write-snapshot

chaos: setup .cache/.ready
	$(BIN)/python -m scripts.chaos

lint: setup $(VYPER_LINT)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/export_abi.py --check
	$(BIN)/python scripts/lint_contracts.py

abi: setup
	$(BIN)/python scripts/export_abi.py

clean:
	rm -rf build .build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
