# make demo, make test and make check each do all their own set-up. KEEP=1 make demo leaves the stack running.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SHELL := bash
.SHELLFLAGS := -o pipefail -c

.PHONY: setup demo up test check format bench clean

setup: $(VENV)/.installed api/pages/static/vendor/.ready models/ocr/.ready models/onnx/.ready

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --no-deps -r requirements.lock | awk $(PROGRESS)
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# A bar that grows by a package; where nobody watches, a line for every fifty.
PROGRESS = -v all="$$(grep -c == requirements.lock)" -v watched="$$(test -t 2 && echo 1)" ' \
  /^(Collecting|Requirement already)/ { n++; full = substr("========================================", 1, 40 * n / all); \
    if (watched) printf "\rpackages [%-40s] %d of %d ", full, n, all; else if (n % 50 == 0) print "packages: " n " of " all; fflush() } \
  /^Installing collected/ { print (watched ? "\n" : "") "unpacking them"; fflush() }'

api/pages/static/vendor/.ready: package-lock.json api/pages/vendor.py $(VENV)/.installed
	@echo "browser libraries"
	@$(BIN)/python -m api.pages.vendor
	@touch $@

models/ocr/.ready: models/ocr_build.py $(VENV)/.installed
	@echo "models that read papers"
	@$(BIN)/python -m models.ocr_build
	@touch $@

models/onnx/.ready: models/onnx_build.py $(VENV)/.installed
	@echo "models that look at photos"
	@$(BIN)/python -m models.onnx_build
	@touch $@

# The browser tests drive Debian's chromium; as root on a Debian machine it is installed here, elsewhere have one on the PATH.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk >/dev/null; }; } || \
	  echo "no chromium on the PATH: install it to run the browser tests"

demo: setup
	$(BIN)/miaopei demo $(if $(KEEP),--keep,)

up: setup
	$(BIN)/miaopei up

# The tests are shared among WORKERS processes, with a database server each (pytest-xdist; tests/conftest.py says what
# stays together).
WORKERS ?= 2
test: setup browser
	$(BIN)/python -m pytest -n $(WORKERS) --durations=10 --durations-min=5

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One photo in 50 claims at once, 100 times over; `make test` runs 5 rounds.
.PHONY: race
race: setup
	MIAOPEI_RACE_ROUNDS=100 $(BIN)/python -m pytest tests/end_to_end/test_race.py -s

# The state machine over claims, money and processes, at length (`make test` has 50 runs), and the faults that it must
# find.
RUNS ?= 1000
.PHONY: machine planted
machine: setup
	$(BIN)/python -m tests.machine --runs $(RUNS)

planted: setup
	$(BIN)/python -m tests.planted

# make bench NAME=throughput
bench: setup
	$(BIN)/miaopei bench $(NAME)

clean:
	rm -rf var .mypy_cache .ruff_cache .pytest_cache
