# What a newcomer and CI run. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Nothing is left outside the checkout.
export PIP_CACHE_DIR := $(CURDIR)/build/pip

PYTEST := TMPDIR=$(CURDIR)/build/tmp $(BIN)/python -m pytest --basetemp=build/pytest
# Most tests wait for a process.
SEVERAL := --numprocesses=3 --dist=loadscope

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types layers cover drill fuzz mutations cluster-test proof audit bench docs site format lock wheel clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY) ## Set up Receiver in .venv

demo: $(READY) ## Show the main job in half a minute
	@$(BIN)/receiver demo --directory build/demo

test: lint types layers ## Everything CI runs: lint, types, import layers, tests
	@mkdir -p build/tmp
	$(PYTEST) $(SEVERAL)

lint: $(READY) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Check the types, strictly
	$(BIN)/mypy

layers: $(READY) ## Check that imports run downwards only
	$(BIN)/lint-imports

cover: $(READY) ## Run the tests, with branch coverage
	@mkdir -p build/tmp
	$(PYTEST) $(SEVERAL) --cov --cov-report=term

drill: $(READY) ## Run the long drills, a quarter of an hour, but for those of `make proof`
	@mkdir -p build/tmp
	$(PYTEST) -m drill --ignore=tests/proof

fuzz: $(READY) ## Look for inputs that break something, for a minute in each function, led by coverage
	$(BIN)/pip install --quiet --disable-pip-version-check 'atheris>=3'
	$(BIN)/python -m tests.security.fuzz

mutations: $(READY) ## Break the product in each way that would cost most, and see a test notice
	$(BIN)/python -m tests.mutations

cluster-test: $(READY) ## Run what a cluster goes through: processes killed, frozen and resumed, servers restarted
	@mkdir -p build/tmp
	$(PYTEST) -m "drill or not drill" tests/cluster tests/engine

proof: $(READY) ## Show in drills, for one to two hours, that nothing is lost; their figures are then in build/proof.md
	@mkdir -p build/tmp
	@rm -f build/proof.xml build/proof.md; status=0; \
	$(PYTEST) -m drill tests/proof --junit-xml=build/proof.xml || status=$$?; \
	$(BIN)/python -m tests.proof.report build/proof.xml > build/proof.md || status=1; \
	cat build/proof.md; exit $$status

audit: ## Ask whether a pinned dependency has a known hole, which takes the network
	@$(PYTHON) -m venv build/audit
	@build/audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10'
	@build/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement requirements.lock

bench: $(READY) ## Measure speed, side by side with others, in under ten minutes
	@$(BIN)/python -m bench

docs: $(READY) ## Write the generated parts of the README and of docs/ anew
	$(BIN)/cog -r README.md docs/*.md docs/reference/*.md

site: $(READY) ## Build the pages of docs/ into build/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/site

format: $(READY) ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## Pin the newest versions that fit, for CI
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev --no-annotate --no-header \
		--output-file requirements.lock pyproject.toml

wheel: $(READY) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 …")'
	@echo "Setting up $(VENV), which takes a minute the first time …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
