# Sessile. `make` alone lists what there is.
PYTHON ?= python3
VENV := .venv
CLIENT := clients/browser
# Node from the venv counts when the system has none, see scripts/ensure_node.sh.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup programs demo test soak check bench reference clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## everything for development: venv, Node packages, Chromium, PostgreSQL, Redis, nginx
	@$(MAKE) --no-print-directory --jobs=2 $(CLIENT)/node_modules/.package-lock.json programs

# Beside the virtual environment, which takes longest.
programs:
	@sh scripts/ensure_browser.sh
	@sh scripts/ensure_servers.sh

demo: $(VENV)/.ready-demo ## start the demo (HOST and PORT are honoured); needs Python 3.11+ and pip only
	@exec $(VENV)/bin/sessile demo

test: setup ## all checks and all tests, at most 15 minutes
	@$(VENV)/bin/python scripts/verify.py check test

check: setup ## formatting, lint, types, layers
	@$(VENV)/bin/python scripts/verify.py check

soak: setup ## the long runs: kills, property tests and browser tests with full counts
	@$(VENV)/bin/python scripts/verify.py soak

bench: setup $(VENV)/.ready-bench ## measure us beside our peers, and write docs/explanation/figures.md
	@$(VENV)/bin/python -m benchmarks --write

reference: setup ## write the pages of docs/reference that are derived from code
	@$(VENV)/bin/python -m scripts.record_examples
	@$(VENV)/bin/python scripts/write_reference.py

clean: ## remove what the other commands made
	rm -rf $(VENV) $(CLIENT)/node_modules $(CLIENT)/dist dist build test-results \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Stamps: installed again only when pyproject.toml changed. What development installs is enough for the demo.
$(VENV)/.ready-demo: pyproject.toml
	@sh scripts/ensure_venv.sh "$(PYTHON)" "$(VENV)" demo "server,client"

$(VENV)/.ready-dev: pyproject.toml
	@sh scripts/ensure_venv.sh "$(PYTHON)" "$(VENV)" dev "all,dev"
	@touch $(VENV)/.ready-demo

$(VENV)/.ready-bench: pyproject.toml
	@sh scripts/ensure_venv.sh "$(PYTHON)" "$(VENV)" bench "all,dev,bench"

$(CLIENT)/node_modules/.package-lock.json: $(CLIENT)/package-lock.json $(VENV)/.ready-dev
	@sh scripts/ensure_node.sh "$(VENV)"
	cd $(CLIENT) && npm ci --no-progress
	@touch $@
