# make run: the page.  make test: what most changes can break; make test-apart: training and the programs
# behind our paintings, which nothing else uses.  All of them set up .venv first; nothing else is touched.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV = .venv/bin
PARALLEL = --numprocesses=auto --dist=loadfile --no-loadscope-reorder

run: .venv/run
	$(VENV)/python app.py

test: .venv/test
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/pyright --pythonpath $(VENV)/python
	$(VENV)/python -m pytest $(PARALLEL) -m "not apart"

test-apart: .venv/test
	$(VENV)/python -m pytest $(PARALLEL) -m apart

.venv/run .venv/test: requirements.txt pyproject.toml
	test -x $(VENV)/python || $(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --editable .[$(if $(filter %test,$@),test,page,video)]
	touch $@

.PHONY: run test test-apart
