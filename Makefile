# make run: serve the page.  make test: lint, type check and tests.  make test-apart: tests of training and of the
# programs that painted our pictures, which nothing else uses.  All set up .venv first and change nothing else.
# make soak: the long versions of the tests of safety, about an hour.
# make test-lowest: the tests with the lowest versions that pyproject.toml allows, in .lowest.
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

soak: .venv/test
	NST_SOAK=1 $(VENV)/python -m pytest tests/safety

test-lowest: .lowest/test
	.lowest/bin/python -m pytest $(PARALLEL) -m "not apart"

.lowest/test: pyproject.toml
	test -x .lowest/bin/python || $(PYTHON) -m venv .lowest
	.lowest/bin/python -m pip install --quiet uv
	.lowest/bin/uv pip install --quiet --python .lowest/bin/python --resolution lowest-direct --editable .[test]
	touch $@

.venv/run .venv/test: requirements.txt pyproject.toml
	test -x $(VENV)/python || $(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --editable .[$(if $(filter %test,$@),test,page,video,heic)]
	touch $@

.PHONY: run test test-apart soak test-lowest
