# The two commands: `make run` starts everything on this machine, `make test` runs every test.
# Each sets up what it needs in .venv with python3, pip, venv and make alone.

PYTHON ?= python3
VENV ?= .venv
INBOX ?= exports
BIN = $(VENV)/bin
# Compiled modules are kept between runs, whatever the environment says: a process then starts in half the time.
export PYTHONDONTWRITEBYTECODE =

# More processes than most machines have cores: many tests wait for programs. One that has nothing left takes from the others.
AT_ONCE = --numprocesses 3 --dist worksteal
# Temporary files of the tests, databases among them, lie in memory where 4 GB are free: on a disk they take half of the time.
IN_MEMORY = $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "TMPDIR=/dev/shm"}')
ROOMS = $(filter-out package,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))

.DEFAULT_GOAL := help
.PHONY: help run test test-training check bench fuzz soak faults docs release sbom images lock train weights clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.base ## watch ./exports (or INBOX=/path) and count what arrives, with demo slides the first time
	@trap : INT; $(BIN)/smearcount up --demo "$(INBOX)"; code=$$?; test $$code -eq 130 || exit $$code  # 130: Ctrl-C

test: $(VENV)/.test ## run the checks and all tests but those that need TensorFlow (a quarter of an hour)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(IN_MEMORY) $(BIN)/pytest $(AT_ONCE)

test-training: $(VENV)/.test-training ## run the tests that need TensorFlow, which it installs (2 GB)
	$(BIN)/pytest tests/training

check: $(VENV)/.test ## run ruff, mypy and the fast tests of every room (a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(IN_MEMORY) $(BIN)/pytest $(AT_ONCE) --fast --hypothesis-profile quick tests/unit tests/integration tests/security

bench: $(VENV)/.test-training ## measure how fast it is, and hold it against what it has to reach (half an hour)
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(BENCH)

fuzz: $(VENV)/.test ## decode a hundred thousand spoiled image files in a child process (two minutes)
	PYTHONPATH=tests $(BIN)/python -m fuzzing $(FUZZ)

soak: $(VENV)/.test ## run everything for an hour at half load, with a fault every minute or two, and look for growth
	PYTHONPATH=tests $(BIN)/python -m faults.soak $(SOAK)

faults: $(VENV)/.test ## kill, cut off and fill up every part while images come; fills docs/faults.md (half an hour)
	PYTHONPATH=tests $(BIN)/python -m faults $(FAULTS)
	$(if $(FAULTS),,PYTHONPATH=tests $(BIN)/python -m faults.delivery)

train: $(VENV)/.train ## train the network anew: make train IMAGES=folder RUN=folder [VALIDATION=folder]
	$(BIN)/smearcount model train $(IMAGES) $(RUN) $(if $(VALIDATION),--validation $(VALIDATION))

weights: $(VENV)/.train ## write what ships from a finished run: make weights RUN=folder VERSION=x.y.z IMAGES=folder VALIDATION=folder
	$(BIN)/smearcount model export $(RUN)/network.keras --name smearcount --version $(VERSION) --all-forms \
	  --training $(IMAGES) --validation $(VALIDATION) --out models/weights
	cp $(RUN)/log.csv models/weights/training-log.csv
	cp $(RUN)/curve.png models/weights/training-curve.png

docs: $(VENV)-docs/.done ## build the documentation site from the Markdown files into site/; a broken link fails
	@$(VENV)-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir $(VENV)-docs/doctrees \
	  --conf-dir docs . site
	@echo "written: site/index.html"

release: ## build a release of this commit into dist/ and check it; tags and uploads nothing
	@$(PYTHON) deployment/release.py ready
	@$(MAKE) --no-print-directory $(VENV)-release/.done sbom
	@$(VENV)-release/bin/python deployment/release.py build sbom.json licences.md

sbom: $(VENV)-sbom/.done ## write sbom.json (CycloneDX) and licences.md: all that an installation consists of
	@$(VENV)-sbom/tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
	  --output-file sbom.json $(VENV)-sbom/base/bin/python
	@$(VENV)-sbom/tools/bin/pip-licenses --python $(VENV)-sbom/base/bin/python --format markdown --order license \
	  --output-file licences.md
	@echo "written: sbom.json, licences.md"

images: ## build the container images worker, web and watcher with buildah and debootstrap, as root (minutes)
	@deployment/build-images $(TARGETS)

lock: ## pin the dependencies anew (needs uv)
	@for set in \
	  "base pyproject.toml --group build" \
	  "evaluate pyproject.toml --group build --extra evaluate" \
	  "train pyproject.toml --group build --extra train" \
	  "gpu pyproject.toml --group build --extra gpu" \
	  "test pyproject.toml --group build --extra evaluate --group test" \
	  "test-training pyproject.toml --group build --extra train --group test" \
	  "audit --group audit" "docs --group docs" "release --group release"; do \
	  set -- $$set; name=$$1; shift; \
	  uv pip compile "$$@" --universal --python-version 3.11 --generate-hashes --quiet --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --output-file requirements/$$name.txt || exit 1; \
	done

clean: ## remove the virtual environment and the caches, never the data
	rm -rf $(VENV) $(VENV)-docs $(VENV)-release $(VENV)-sbom dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# One stamp per set of packages: the larger sets hold the smaller.
SETS = base evaluate train test test-training
$(SETS:%=$(VENV)/.%): $(VENV)/.%: requirements/%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "smearcount needs Python 3.11 to 3.13, this is %d.%d; try: make PYTHON=python3.12 ..." % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned packages ($*) into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -rf $(VENV)/typing && mkdir -p $(VENV)/typing/smearcount  # for mypy
	@ln -s $(foreach it,package/__init__.py package/py.typed $(ROOMS),"$(CURDIR)/$(it)") $(VENV)/typing/smearcount
	@touch $@

# Tools that no other environment needs.
$(VENV)-docs/.done $(VENV)-release/.done: $(VENV)-%/.done: requirements/%.txt
	@echo "Installing pinned packages ($*) into $(VENV)-$* ..."
	@$(PYTHON) -m venv --clear $(VENV)-$*
	@$(VENV)-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  -r requirements/$*.txt
	@touch $@

# Two environments: the tools that look are no part of what they look at.
$(VENV)-sbom/.done: requirements/base.txt requirements/audit.txt
	@echo "Installing pinned packages (base, and the tools) into $(VENV)-sbom ..."
	@for set in base:base tools:audit; do \
	  $(PYTHON) -m venv --clear $(VENV)-sbom/$${set%:*} && $(VENV)-sbom/$${set%:*}/bin/python -m pip install --quiet \
	    --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/$${set#*:}.txt || exit 1; \
	done
	@touch $@
