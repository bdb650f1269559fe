# make setup   virtual environment with pinned dependencies and the package
# make run     the main job: the capacity of a mixed fleet (about two minutes on two cores)
# make briefing  one page about the fleet of 2026, as HTML and PDF (about ten minutes)
# make test    the tests; a part of them: make test TESTS=tests/topology
# make verify  the long and statistical tests; FULL=1 also runs those with full counts
# make lint    style, types and imports
# make package the wheel and the sdist; every example is tried with the installed wheel alone
# make redrawn runs all experiments in full (hours) and lists figures and numbers that differ
# make docs    the documentation, as pages in out/site; runs its notebooks
# make bench   speed, as ratios measured in one run

PYTHON ?= python3
VENV ?= .venv
# dev,cluster,docs,measure for `clustersim measure`, which needs PyTorch
EXTRAS ?= dev,cluster,docs
BIN := $(VENV)/bin
TESTS ?=
FULL ?=
comma := ,
READY := $(VENV)/.ready-$(subst $(comma),-,$(EXTRAS))

# workload_models needs a log and has no quick form.
EXPERIMENTS := $(filter-out workload_models,$(basename $(notdir $(wildcard experiments/*.py))))
QUICK := $(addprefix quick-,$(EXPERIMENTS))

.PHONY: setup run briefing test verify lint package quick-experiments $(QUICK) redrawn docs bench clean

setup: $(READY)

# Python compiles what it imports; to compile all that is installed takes half a minute.
$(READY): pyproject.toml constraints.txt
	@echo "installing clustersim and more than 100 packages into $(VENV); this takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

run: setup
	$(BIN)/python experiments/capacity_vs_load.py

briefing: setup
	$(BIN)/clustersim briefing experiments/fleet_2026.yaml --out out/briefing-$$(date +%s)

# Reading 200 files of tests takes half as long where Python has compiled them before.
test verify: export PYTHONDONTWRITEBYTECODE :=

# Tests write thousands of small files, which takes half as long in memory, if there is room for 2 GB.
MEMORY := $(shell df -k --output=avail /dev/shm 2>/dev/null | awk 'NR > 1 && $$1 > 2000000 { print "/dev/shm" }')
TMPDIR ?= $(MEMORY)
ifneq ($(TMPDIR),)
test verify: export TMPDIR := $(TMPDIR)
endif

PYTEST := $(BIN)/python -m pytest -q -n auto

test: setup
	$(PYTEST) --dist worksteal -m "not slow" $(TESTS)

# Tests that share what takes minutes are one group; FULL=1 adds those of the full counts, and
# every test of hypothesis with all its examples.
verify: setup
	$(PYTEST) --dist loadgroup --no-loadscope-reorder \
		$(if $(FULL),-m "slow or hypothesis" --hypothesis-profile=full,-m "slow and not full") $(TESTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

package: setup
	$(BIN)/python -m tests.packaging

# Separate targets, so that make -j 2 runs two of them at the same time.
quick-experiments: $(QUICK)

$(QUICK): quick-%: setup
	$(BIN)/python experiments/$*.py --quick --out out/quick-$$(date +%s)-$*

redrawn: setup
	$(BIN)/python -m tests.redrawn

# Warnings are errors.  The variable silences a notice of the theme about its successor.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: setup
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) out
