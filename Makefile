# Each of these does all of its own set-up, from a clean clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPARED := .venv-bench

.DEFAULT_GOAL := help
.PHONY: help demo pages test check bench drill drill-ingest drill-device papers papers-quick lock format clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

demo: $(READY) ## the whole loop on this machine, in .demo/; IMAGES=folder-of-class-folders for your own images
	$(BIN)/hemaloop demo $(if $(IMAGES),--images "$(IMAGES)") $(ARGS)

pages: $(READY) ## look at an earlier demo: the pages of Prefect, MLflow and Data Docs
	$(BIN)/hemaloop demo --pages $(ARGS)

test: $(READY) ## the tests, fast ones first
	$(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadfile
	$(BIN)/pytest -m slow --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(READY) ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) $(COMPARED)/.ready ## the benchmarks, as ratios in one run: a table, and .bench/results.json
	$(BIN)/python -m bench

drill: $(READY) ## end ingest at each of its effects, run it again, and compare: every point, some minutes
	$(BIN)/python -W ignore tests/ingest/kill_drill.py "$$(mktemp -d)" early

drill-ingest: $(READY) ## faults, kills, several workers and devices: 200 seeded rounds, half an hour; ARGS="--rounds 20 --seed 7"
	$(BIN)/python -m drill ingest $(ARGS)

drill-device: $(READY) ## kill a device at every change of its disk, and start it again: half an hour
	HEMALOOP_KILL_STEP=1 $(BIN)/pytest tests/device/after_release_1/test_killed_device.py --numprocesses 2 --timeout 3600

papers: $(READY) ## the published systems, run and compared; goes on where it was stopped; FORM=short for an hour or two
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dvc repro papers/dvc.yaml:compare@$(or $(FORM),full)

papers-quick: $(READY) ## the five systems on a few small images: shows that they run; ARGS=--all for every one of them
	$(BIN)/python -m papers --form quick $(ARGS)

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## lock pyproject.toml's dependencies anew
	UV=$(abspath $(BIN)/uv) requirements/lock.sh

clean: ## remove what make made
	rm -rf $(VENV) $(COMPARED) .demo .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements/dev.lock requirements/uv.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {v}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.lock
# uv compiles nothing by itself, and where PYTHONDONTWRITEBYTECODE is set each process would compile all it imports anew.
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

# What the benchmarks compare with has an environment of its own.
$(COMPARED)/.ready: requirements/bench.lock | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(COMPARED)
	$(BIN)/uv pip install --python $(COMPARED)/bin/python --require-hashes -r requirements/bench.lock
	touch $@
