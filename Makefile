# The gateway's commands. Each builds .venv by itself, with nothing installed but python3, pip, git and make.
#
#   make demo                                  a broadcast of texts and calls on this machine, with a report
#   make demo ARGS="--exit --report demo.json"
#   make test                                  the tests, three at a time; ARGS are pytest's (ARGS="-n 0": one by one)
#   make chaos                                 the promises, by breaking things; prints seeds, ARGS="--seed 123" runs one again
#   make simulate                              the same by ten thousand histories on a virtual clock; ARGS="--trace 17" tells one
#   make lint                                  style, types and import contracts
#   make bench                                 one JSON line a benchmark
#   make clean                                 removes .venv and what tools leave behind
#
# PYTHON chooses the interpreter: make test PYTHON=python3.13

PYTHON ?= python3
PIP ?= $(or $(shell command -v pip || command -v pip3),$(PYTHON) -m pip)
ARGS ?=

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# A stamp a version: another PYTHON means another .venv.
STAMP := .venv/.made-for-$(VERSION)
BENCHMARKS := $(sort $(wildcard benchmarks/*.py))

.PHONY: demo test lint chaos simulate bench clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	.venv/bin/gateway demo $(ARGS)

test: $(STAMP)
	.venv/bin/pytest -n 3 $(ARGS)

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

chaos: $(STAMP)
	.venv/bin/python -m tests.chaos $(ARGS)

simulate: $(STAMP)
	.venv/bin/python -m tests.simulation --count 10000 --processes 2 $(ARGS)

bench: $(STAMP)
	@set -e; for benchmark in $(BENCHMARKS); do .venv/bin/python $$benchmark $(ARGS); done

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's python3 can make no environment with pip inside (python3-venv) and refuses installs outside one (PEP 668).
# An environment without pip, filled from outside by the system's pip, needs neither.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "The gateway needs Python 3.11 or later; choose one with PYTHON=python3.11")'
	test -e .venv/lib/python$(VERSION) || rm -rf .venv
	$(PYTHON) -m venv --without-pip .venv
	$(PIP) --python .venv/bin/python install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@
