# Streamscorer. Everything runs from .venv in this checkout; `make` lists what there is.

PYTHON ?=
# Where torch came from stays written down, so that only the first `make install` has to say it.
TORCH_INDEX ?= $(shell cat .venv/torch-index 2>/dev/null)
ARGS ?=
PY := .venv/bin/python
# Each one is tried in this order: what the shell calls python3, then the newest.
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
CHECKED := *.py settings schemas inference store broker sources consumer api monitor tracing embedded bench cli deploy tests

# The tests alone start a hundred processes: none of them compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run test faults soak gameday lagcheck bench check docker clean another-torch
.DEFAULT_GOAL := help

help: ## list the targets
	@echo 'make TARGET, where TARGET is'
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | while IFS='	' read -r name text; do printf '  %-9s %s\n' "$$name" "$$text"; done

install: .venv/installed ## make .venv (TORCH_INDEX=URL takes torch from another index, PYTHON=... another interpreter)

run: .venv/installed ## start everything on this machine and score sample photos (ARGS="..." goes to `streamscorer up`)
	@exec $(PY) -m cli.main up $(ARGS)

test: .venv/installed ## run the tests (ARGS="..." goes to pytest)
	@sh tests/deploy/fetch_promtool.sh .venv/bin
	$(PY) -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

faults: .venv/installed ## run the tests of faults that take their time (ARGS="..." goes to pytest)
	$(PY) -m pytest -n 2 --dist loadscope -m soak $(ARGS)

soak: .venv/installed ## break everything for half an hour and judge what is left (SOAK_S=, SOAK_RECORDS=, SEED=)
	@SOAK_S='$(SOAK_S)' SOAK_RECORDS='$(SOAK_RECORDS)' SEED='$(SEED)' exec $(PY) -m tests.faults.soak

gameday: .venv/installed ## carry out nine faults, and judge what the person on call is told (ARGS="--help" lists options)
	@exec $(PY) -m tests.gameday $(ARGS)

lagcheck: .venv/installed ## compare our lag with Kafka's own word and with Burrow's, and the ETA with the truth
	$(PY) -m tests.lag.side_by_side
	$(PY) -m tests.lag.drains

bench: .venv/installed ## measure this machine (ARGS="..." goes to `streamscorer bench`)
	@exec $(PY) -m cli.main bench $(ARGS)

check: .venv/installed ## run the linters and the type checker
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(wildcard $(CHECKED))

docker: ## build the image streamscorer:latest (TORCH_INDEX= takes torch from PyPI, built for CUDA)
	docker build $(if $(filter command environment,$(firstword $(origin TORCH_INDEX))),--build-arg TORCH_INDEX='$(TORCH_INDEX)') -t streamscorer .

clean: ## remove .venv and what tools left behind
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Anew when the requirements change, or when torch is asked for from another place than it came from.
.venv/installed: pyproject.toml constraints.txt $(if $(filter-out x$(shell cat .venv/torch-index 2>/dev/null),x$(TORCH_INDEX)),another-torch)
	@test -x $(PY) || { \
	  for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo 'make: Python 3.11 or newer with the modules venv and ensurepip is needed. Tried:' >&2; \
	    for python in $(PYTHONS); do \
	      printf '  %s: ' "$$python" >&2; \
	      "$$python" -c 'import platform; print("Python", platform.python_version(), end=" "); import venv, ensurepip; print("is too old")' 2>&1 | tail -n 1 >&2 || true; \
	    done; \
	    echo '(Debian and Ubuntu: apt install python3-venv; or name another one: make install PYTHON=/path/to/python3)' >&2; \
	    exit 1; \
	  fi; \
	  "$$found" -m venv .venv; \
	}
	@rm -f .venv/installed
	@grep -v '^torch' constraints.txt > .venv/constraints-without-torch.txt
	$(if $(TORCH_INDEX),$(PY) -m pip install --disable-pip-version-check --index-url '$(TORCH_INDEX)' torch torchvision)
	$(PY) -m pip install --disable-pip-version-check -c $(if $(TORCH_INDEX),.venv/constraints-without-torch.txt,constraints.txt) -e '.[dev]'
	@printf '%s' '$(TORCH_INDEX)' > .venv/torch-index
	@touch .venv/installed
