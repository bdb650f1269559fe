# make setup   virtual environment with pinned dependencies and the package
# make run     the main job: capacity curves of a mixed fleet (about two minutes)
# make test    the tests; some of them: make test TESTS='-m "not slow"'
# make lint    style and types
# make bench   speed, as ratios measured in one run

PYTHON ?= python3
VENV ?= .venv
# dev,cluster,measure for `clustersim measure`, which needs PyTorch
EXTRAS ?= dev,cluster
BIN := $(VENV)/bin
TESTS ?=
comma := ,
READY := $(VENV)/.ready-$(subst $(comma),-,$(EXTRAS))

.PHONY: setup run test lint quick-experiments bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

run: setup
	$(BIN)/python experiments/capacity_vs_load.py

test: setup
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(TESTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quick-experiments: setup
	for script in experiments/*.py; do \
		echo "== $$script --quick"; \
		$(BIN)/python $$script --quick --out out/quick-$$(date +%s)-$$(basename $$script .py) || exit 1; \
	done

bench: setup
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) out
