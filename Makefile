# Two commands for users (run, test), nine for developers (torture, kill, apart, storm, fuzz, mutants, lint, bench, check). Everything lives in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUNDLED := -e plugins/livermore-coinbase -e plugins/livermore-indicators -e plugins/livermore-redis -e plugins/livermore-simulator
EXTRA := -e plugins/livermore-talib
PROJECTS := pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
PACKAGES := -p livermore_core -p livermore_coinbase -p livermore_indicators -p livermore_redis -p livermore_simulator -p livermore_talib

.PHONY: run test torture kill apart storm fuzz mutants lint bench check clean

run: $(VENV)/installed
	$(BIN)/livermore demo

# Three on two cores: a fifth of the time is spent waiting for processes and servers.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 3 --dist worksteal

HOURS ?= 200

# Time there is virtual: it may wait for whoever looks at a clock.
torture: $(VENV)/installed-test
	nice -n 19 $(BIN)/python tests/torture.py --hours $(HOURS) --previews-in 2

N ?= 100

kill: $(VENV)/installed-test
	$(BIN)/python tests/kill.py --count $(N)

APART_HOURS ?= 12
KILLS ?= 20
FREEZES ?= 10

apart: $(VENV)/installed-test
	$(BIN)/python tests/apart.py --hours $(APART_HOURS) --kills $(KILLS) --freezes $(FREEZES)

STORM_HOURS ?= 48
SPEED ?= 600

storm: $(VENV)/installed-test
	$(BIN)/python tests/storm.py --hours $(STORM_HOURS) --speed $(SPEED)

COUNT ?= 1000000

fuzz: $(VENV)/installed-test
	$(BIN)/python tests/fuzz.py --count $(COUNT)

mutants: $(VENV)/installed-test
	$(BIN)/python tests/run_mutants.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(PACKAGES)
	MYPYPATH=benchmarks:tests $(BIN)/mypy --strict plugins/livermore-example/livermore_example benchmarks/*.py tests/torture.py tests/run_mutants.py tests/kill.py tests/apart.py tests/storm.py tests/fuzz.py

bench: $(VENV)/installed-test
	@for program in benchmarks/[a-z]*.py; do PYTHONPATH=tests $(BIN)/python $$program || exit 1; done

check: lint test

$(VENV)/installed: $(PROJECTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . $(BUNDLED)
	touch $@

$(VENV)/installed-test: $(PROJECTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test]' $(BUNDLED) $(EXTRA)
	touch $(VENV)/installed $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
