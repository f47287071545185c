# The active virtual environment, else one of the checkout's own, made when it is first needed.
ENVIRONMENT := $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
PYTHON := $(ENVIRONMENT)/bin/python
INSTALLED := $(ENVIRONMENT)/.fakeai-proxy-installed

.PHONY: help check test lint types serve

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /    make \1\t/p' Makefile | expand -t 20

check: lint types test ## what CI runs: lint, types, tests

test: $(INSTALLED) ## everything (installs what is missing)
	sh tests/servers/install.sh
	$(PYTHON) -m pytest

lint: $(INSTALLED) ## style and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(INSTALLED) ## mypy, strict
	$(PYTHON) -m mypy

serve: $(INSTALLED) ## a synth server on port 8000
	$(PYTHON) -m fakeai_proxy --mode synth

$(INSTALLED): pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(ENVIRONMENT)
	$(PYTHON) -m pip install -e '.[test]'
	touch $@
