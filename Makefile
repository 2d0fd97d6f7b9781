# Everything a user or a developer does, each in one word. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= ./store
# Where `make server` keeps its database and password, and its port on 127.0.0.1.
SERVER ?= ./.sluice-server
PORT ?= 4200
SEED ?= 1
# Test processes; 0 runs all tests in one. Tests of a file stay together, since they share costly fixtures.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
# Nothing here calls home or asks a model hub.
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := true

.PHONY: setup demo server test test-slow chaos check format bench lock clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock $$(grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[data,train,serve]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[data,train,serve,extraction-training,gguf,kubernetes,lineage,s3,dask,ray,tensorboard,wandb,dev]'
	touch $@

demo: setup
	$(BIN)/sluice run demo --store $(STORE)

# A Prefect server on PostgreSQL and a worker, until Ctrl-C; see "Deployed" in README.md.
server: setup
	$(BIN)/python -m flows.server $(SERVER) --port $(PORT)

test: $(VENV)/.installed-dev
	$(PYTEST) -m 'not bench and not slow'

# Tests that take a minute or more: thousands of mutated records, other tools in environments of their own.
test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m 'slow and not bench'

# Whole runs and the deployed stack under random kills and faults, then two runs at once, ten times. On two idle cores
# about 40 minutes; as root also a full and a read-only disk. SEED=2 draws other faults.
chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos.storm --seed $(SEED)
	TIMES=10 $(PYTEST) tests/chaos/test_two_runs.py

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports pyproject.toml --no-cache

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m bench -s tests/bench

# Versions only, without hashes: torch has a build for each kind of machine under the same version.
lock: $(VENV)/.installed-dev
	$(BIN)/python -m pip freeze --exclude-editable | grep -v -i -E '^(nvidia-|triton|cuda-|sluice)' | sed -e 's/ @ .*//' -e 's/+cpu$$//' > requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
