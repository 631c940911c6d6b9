# make run: serve the page.  make test: lint, type check and tests.  make test-apart: tests of training and of the
# programs that painted our pictures, which nothing else uses.  All set up .venv first and change nothing else.
# make soak: the long versions of the tests of safety, about 20 minutes.
# make audit: look for known weaknesses of the packages in .venv; asks an advisory service on the internet.
# make sbom: for a release, list the packages that it was tested with in build/nst.cdx.json (CycloneDX).
# make test-lowest: the tests with the lowest versions that pyproject.toml allows, in .lowest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV = .venv/bin
comma = ,
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

soak: .venv/soak
	NST_SOAK=1 $(VENV)/python -m pytest tests/safety

audit: .venv/release
	$(VENV)/pip-audit --skip-editable --progress-spinner off --timeout 15

sbom: .venv/release
	mkdir -p build
	$(VENV)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/nst.cdx.json

test-lowest: .lowest/test
	.lowest/bin/python -m pytest $(PARALLEL) -m "not apart"

.lowest/test: pyproject.toml
	test -x .lowest/bin/python || $(PYTHON) -m venv .lowest
	.lowest/bin/python -m pip install --quiet uv
	.lowest/bin/uv pip install --quiet --python .lowest/bin/python --resolution lowest-direct --editable .[test]
	touch $@

.venv/run .venv/test .venv/soak .venv/release: requirements.txt pyproject.toml
	test -x $(VENV)/python || $(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --editable .[$(if $(filter %run,$@),page$(comma)video$(comma)heic,$(@F))]
	touch $@

.PHONY: run test test-apart soak audit sbom test-lowest
