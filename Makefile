# Two targets do everything on a machine that has Python 3.11 or newer and nothing else.
# make demo            the whole job on real text found on this machine; pass options with ARGS="--minutes 4"
# make test            style, types, all tests
# PYTHON=python3.12 chooses the interpreter. TORCH_FLAGS="--index-url https://download.pytorch.org/whl/cpu" fetches
# the CPU build where the default index would bring CUDA libraries (several GB) along.

PYTHON ?= python3
TORCH_FLAGS ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.speciate-installed
DEV := $(VENV)/.speciate-dev-installed

.PHONY: help demo test

help:
	@sed -n '2,5s/^# \{0,1\}//p' Makefile

demo: $(STAMP)
	@$(BIN)/speciate demo $(ARGS)

test: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest

# torch goes first and alone: resolved together with the rest, pip may choose another build of it.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Speciate needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH_FLAGS) torch==2.13.0 -c constraints.txt
	$(BIN)/python -m pip install --quiet -e '.[train,report]' -c constraints.txt
	@touch $@

$(DEV): $(STAMP)
	$(BIN)/python -m pip install --quiet -e '.[train,report,corpus,hub,ray,serve,dev]' -c constraints.txt
	@touch $@
