# Everything a contributor needs, one command each. `make` alone lists them.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
LOCK_VENV := .holdgate/lock-venv
# Installed for running only, or for developing as well. The stamps make a second call free.
SERVICE := $(VENV)/.installed-service
DEV := $(VENV)/.installed-dev

PYTHON ?=
ARGS ?=
# How many test files are run at once; most of their time is spent waiting for servers.
JOBS ?= 3
SCENARIO ?=
SEEDS ?=
SEED ?=
SECONDS ?=
METADATA ?=
FOLDER ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.PHONY: help setup demo test test-next simulate crash chaos judge check format lock services services-stop bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

setup: $(DEV) ## Make the virtual environment in .venv with everything for developing

demo: $(SERVICE) ## See it work: needs Python and nothing else
	@$(VENV)/bin/holdgate demo $(ARGS)

test: $(DEV) services ## Run the tests (ARGS="-k sold_out", JOBS=1)
	@set -a && . ./.holdgate/test-services.env && $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# The folder is made once and used again. METADATA=khepri or mnesia runs one half.
test-next: $(DEV) ## Run the tests on the newest RabbitMQ, PostgreSQL and Valkey (root, debootstrap; ARGS=tests/e2e)
	@$(PY) -m tests.support.next_services --metadata $(or $(METADATA),both) -- -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

simulate: $(DEV) ## Try the protocols on a simulated broker and database (SEEDS=20000, ARGS="--jobs 2")
	@$(PY) -m tests.simulation --seeds $(or $(SEEDS),20000) $(ARGS)

crash: $(DEV) services ## Break real workers at every step of every protocol (ARGS="-k relaying")
	@set -a && . ./.holdgate/test-services.env && HOLDGATE_TEST_CRASH=all $(PY) -m pytest tests/crash $(ARGS)

chaos: $(DEV) ## Break everything around real workers, and count (SECONDS=240, SEED=7; network faults need root)
	@$(PY) -m tests.chaos --seconds $(or $(SECONDS),240) $(if $(SEED),--seed $(SEED)) $(ARGS)

judge: $(DEV) ## Judge a recorded run with the history checker as machine code (FOLDER=…; needs a C compiler)
	@$(PY) -m tests.checker.compiled $(FOLDER)

check: $(DEV) ## Lint, formatting, types, import directions, the published contract
	@failed=""; for step in $(CHECKS); do $(MAKE) --no-print-directory $$step || failed="$$failed $$step"; done; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed" >&2; exit 1; fi

# All of them run, so that one call tells everything.
CHECKS := check-lint check-format check-types check-imports check-contract
.PHONY: $(CHECKS)
check-lint: ; $(VENV)/bin/ruff check .
check-format: ; $(VENV)/bin/ruff format --check .
check-types: ; $(VENV)/bin/mypy
check-imports: ; $(VENV)/bin/lint-imports --no-logo
check-contract: ; $(if $(wildcard schema/holdgate_schema/contract*),$(PY) -m holdgate_schema.contract --check,@echo "no contract module yet")

format: $(DEV) ## Sort imports and format
	$(VENV)/bin/ruff check --select I --fix .
	$(VENV)/bin/ruff format .

services: | $(PY) ## Find or start PostgreSQL, RabbitMQ and Redis for the tests
	@$(PY) tests/support/services.py up

services-stop: | $(PY) ## Stop what `make services` started
	@$(PY) tests/support/services.py down

bench: $(DEV) services ## Run the benchmark (SCENARIO=name)
	@set -a && . ./.holdgate/test-services.env && $(PY) -m bench $(SCENARIO) $(ARGS)

clean: ## Remove the virtual environment, caches and build products
	rm -rf $(VENV) $(LOCK_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find schema producer workers tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how the environment is made ---------------------------------------------------------------------------------

# $(call find-python,names): prints the first that is new enough and can make environments.
find-python = for name in $(1); do \
	if "$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo "$$name"; break; fi; done

$(PY):
	@python=$$($(call find-python,$(PYTHON) python3.13 python3.12 python3.11 python3 python)); \
	if [ -z "$$python" ]; then \
		echo "Holdgate needs Python 3.11 or newer with the venv module, and none was found." >&2; \
		echo "Install one (Debian: apt-get install python3 python3-venv)" >&2; \
		echo "or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)

# $(call install,lock file): pinned and checked by hash; the build backend is in the lock too.
define install
@echo "Installing $(1) into $(VENV)"
@$(PIP) install -qq --require-hashes -r $(1)
@$(PIP) install -qq --no-deps --no-build-isolation --editable .
endef

$(SERVICE): pyproject.toml requirements/service.lock | $(PY)
	$(call install,requirements/service.lock)
	@touch $@

$(DEV): pyproject.toml requirements/ci.lock | $(PY)
	$(call install,requirements/ci.lock)
	@touch $@ $(SERVICE)

# Made with the oldest Python we support, so that what only that one needs is in the locks.
PIP_COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(LOCK_VENV)/bin/python -m piptools compile --quiet \
	--generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

LOCK_SOURCES := pyproject.toml requirements/extra.in

lock: ## Write requirements/*.lock anew (ARGS=--upgrade for newer versions; needs Python 3.11)
	@[ -x $(LOCK_VENV)/bin/python ] || { mkdir -p .holdgate && \
		for name in $(PYTHON) python3.11 python3; do \
			if "$$name" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; \
			then "$$name" -m venv $(LOCK_VENV); break; fi; done; \
		[ -x $(LOCK_VENV)/bin/python ] || { echo "The locks are made with Python 3.11, which was not found." >&2; exit 1; }; }
	@$(LOCK_VENV)/bin/python -m pip install -qq --disable-pip-version-check 'pip-tools>=7.4'
	$(PIP_COMPILE) $(ARGS) --extra service --extra dev --output-file requirements/ci.lock $(LOCK_SOURCES)
	$(PIP_COMPILE) --extra service --constraint requirements/ci.lock --output-file requirements/service.lock $(LOCK_SOURCES)
