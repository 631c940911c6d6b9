# make run: the page.  make test: everything CI checks.  Both set up .venv first; nothing else is touched.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV = .venv/bin

run: .venv/run
	$(VENV)/python app.py

test: .venv/test
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/pyright --pythonpath $(VENV)/python
	$(VENV)/python -m pytest

.venv/run .venv/test: requirements.txt pyproject.toml
	test -x $(VENV)/python || $(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --editable $(if $(filter %test,$@),.[test],.)
	touch $@

.PHONY: run test
