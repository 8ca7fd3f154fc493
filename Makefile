# Needs only make and Python 3.11 or newer: `make PYTHON=python3.12 test` names another one.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
# How many processes share the tests. Half of the time each waits for servers and processes.
WORKERS ?= 2
SOURCES := $(wildcard domain commands eventstore projections wallet audit api benchmarks tests deploy)
COMPILE = --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
	--custom-compile-command "make lock" $(UPGRADE)

export PYTHONPATH := $(CURDIR)
# The tests start hundreds of processes: keep what Python has compiled, whatever the machine says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test services services-stop check lint types imports soak bench docs format lock clean .venv

help: ## Show this list
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

demo: ## Run a small exchange and show what it recorded
	./foldex demo

# A process of the tests that dies ends the run: in its place another would wait for ever.
test: lint types imports ## Run every check and every test but the long ones
	$(PYTHON) -m deploy.services run -- $(BIN)/python -m pytest tests \
		-n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart=0

services: ## Install and start PostgreSQL, Kafka, anvil and OpenBao for this clone
	@$(PYTHON) -m deploy.services start

services-stop: ## Stop them; their data stays
	@$(PYTHON) -m deploy.services stop

check: lint types imports ## Run the quick part: lint, types, imports, unit and architecture tests
	$(BIN)/python -m pytest $(wildcard tests/unit tests/architecture)

lint: .venv ## Check style and formatting
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv ## Check types
	$(BIN)/mypy

imports: .venv ## Check that imports point inward
	$(BIN)/lint-imports

soak: .venv ## Run the long tests, without a time limit
	$(PYTHON) -m deploy.services run -- $(BIN)/python -m pytest tests -m soak -s --timeout=0

bench: .venv ## Measure
	$(BIN)/python -m benchmarks

docs: ## Write the generated pages of docs/ again
	./foldex docs

format: .venv ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lock: ## Write both lock files again (UPGRADE=--upgrade for newer versions)
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && set -e && \
	$(PYTHON) -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip --disable-pip-version-check -q install uv==$(UV_VERSION) && \
	"$$scratch/bin/uv" pip compile $(COMPILE) pyproject.toml -o requirements.lock && \
	"$$scratch/bin/uv" pip compile $(COMPILE) -c requirements.lock pyproject.toml --group dev \
		-o requirements-dev.lock

clean: ## Remove the virtual environment and every cache; data stays
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.venv:
	@command -v $(PYTHON) >/dev/null || { echo "make: '$(PYTHON)' was not found; Python 3.11 or newer is needed (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) deploy/venv.py requirements-dev.lock
