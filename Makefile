# Every step of CI is a target here.
DEVICE ?= pixel4
MUTANTS ?= 10000
SEED ?= $(shell date +%s)
CHAOS ?= 6x10x2000
VENV   := .venv
BIN    := $(VENV)/bin
RELEASE := .cache/release
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Quick tests on base dependencies are what no such mark is on; pyproject.toml explains each.
MARKED := train or qualcomm or history or study or measures or arm64 or gpu or adb or sign or systemd or browser or farm or quantize or onnx or slow or chaos
TESTS  := $(BIN)/pytest --benchmark-skip -n 2 --dist loadfile

PLUGINS := $(addprefix pytest-,asyncio benchmark check clarity cov django env forked html \
	httpserver instafail metadata mock order picked playwright randomly repeat rerunfailures \
	socket split subtests sugar timeout xdist)

.PHONY: gate gate-all test test-marked test-all check plugins bench plants soak fuzz chaos stacks torch docs release-check clean

gate: $(VENV)/gate.stamp          ## Run the main job: every gate on one device.
	$(BIN)/pytest --device=$(DEVICE)

gate-all: $(VENV)/all.stamp       ## Run every gate on every target that a shipped subject has baselines for.
	$(BIN)/pytest --origin=emulated --device=$$($(BIN)/python .ci/blessed_targets.py golden)
# Of the example, whose fallback gate fails on purpose, all that must hold.
	$(BIN)/pytest --origin=emulated --device=$$($(BIN)/python .ci/blessed_targets.py examples) \
	    -o golden_dir=examples -k 'not stays_on_the_accelerator'

test: $(VENV)/dev.stamp           ## Run the project's own tests that are quick and need no extra.
	$(TESTS) -m 'not ($(MARKED))'

test-marked: $(VENV)/all.stamp    ## Run the others, on every stack that is installed.
# A third of it waits for a server, a browser or a phone: it takes a process more than two cores.
	$(TESTS) -n 3 --durations=25 -m '($(MARKED)) and not chaos'

test-all: test test-marked        ## Run all of the project's own tests.

check: $(VENV)/check.stamp        ## Lint, type-check and check the order of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows docs/ci/github-workflow.yml docs/ci/release-workflow.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions docs/ci/device-gates/action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci docs/ci/gitlab-ci.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/phone.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --quiet --offline .github/workflows/ci.yml docs/ci/github-workflow.yml docs/ci/release-workflow.yml docs/ci/device-gates/action.yml

plugins: $(VENV)/dev.stamp        ## Run beside the most used pytest plugins, installed apart.
	$(PIP) --upgrade --target .cache/plugins $(PLUGINS)
	HARNESS_TEST_PLUGINS=$(CURDIR)/.cache/plugins $(BIN)/pytest tests/plugin/test_other_plugins.py

bench: $(VENV)/all.stamp          ## Measure this project's own speed, as ratios.
	$(BIN)/pytest tests/benchmarks --benchmark-only

plants: $(VENV)/dev.stamp         ## Plant every fault in a small network; each must turn its gates red.
	HARNESS_PLANTS=all $(BIN)/pytest tests/adversarial/test_plants.py

soak: $(VENV)/dev.stamp           ## Inject 500 random faults into a fake phone, one after the other, and 200 into fake labs.
	HARNESS_SOAK_ROUNDS=500 $(BIN)/pytest tests/integration/test_phone_faults.py -k random_faults
	HARNESS_LAB_FAULTS=200 $(BIN)/pytest tests/integration/test_lab_faults.py

fuzz: $(VENV)/dev.stamp           ## Read and run models with random faults, others each time.
	HARNESS_FUZZ_MUTANTS=$(MUTANTS) HARNESS_FUZZ_SEED=$(SEED) $(BIN)/pytest -s tests/adversarial/test_mutants.py

chaos: $(VENV)/all.stamp          ## Break hosts, phones and scheduler of a large farm at random, others each time.
	HARNESS_CHAOS_SEED=$(SEED) HARNESS_CHAOS_SIZE=$(CHAOS) HARNESS_CHAOS_ROUNDS=10 HARNESS_CHAOS_REQUEST_S=0.5 \
	    HARNESS_CHAOS_LIMIT_S=3600 HARNESS_CHAOS_CUT_S=60 $(BIN)/pytest -s tests/integration/test_farm_chaos.py

stacks: $(VENV)/all.stamp         ## Install every host stack this machine can run (Debian, root).
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium adb qemu-user gcc libc6-dev postgresql systemd
	$(BIN)/harness doctor --install arm64
	$(BIN)/harness doctor

torch: .cache/torch/stamp         ## Make a venv with PyTorch for CPUs, where that is served, for tests that need one.

.cache/torch/stamp:
	python3 -m venv .cache/torch
	.cache/torch/bin/pip install --quiet --disable-pip-version-check --no-compile \
	    torch==2.13.0+cpu litert-torch==0.10.0 onnx==1.23.2 keras==3.15.1 h5py \
	    || { rm -rf .cache/torch; echo "PyTorch for CPUs is not served here: its tests are skipped"; exit 0; }
	[ ! -d .cache/torch ] || touch $@

$(VENV)/bin/python:
	python3 -m venv $(VENV)

$(VENV)/gate.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/gate.stamp

$(VENV)/check.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev,history,farm]'
	touch $@ $(VENV)/dev.stamp $(VENV)/gate.stamp

$(VENV)/all.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev,docs,train,qualcomm,history,parquet,study,measures,farm,quantize,onnx,sign]'
	touch $@ $(VENV)/check.stamp $(VENV)/dev.stamp $(VENV)/gate.stamp

docs: $(VENV)/docs.stamp          ## Build the documentation site; a dead link fails.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean  # --quiet would hide from --strict what it counts

release-check: $(VENV)/release.stamp  ## Build, check, install the wheel alone, run the main job from it.
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)/job
	$(BIN)/python -m build --outdir $(RELEASE)/dist > $(RELEASE)/build.log
	$(BIN)/twine check --strict $(RELEASE)/dist/*
	$(BIN)/python -m venv $(RELEASE)/venv
	$(RELEASE)/venv/bin/pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt $(RELEASE)/dist/*.whl
	cp -r golden $(RELEASE)/job/ && touch $(RELEASE)/job/pytest.ini
	cd $(RELEASE)/job && ../venv/bin/pytest --device=$(DEVICE) --origin=emulated

$(VENV)/docs.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	touch $@

$(VENV)/release.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[release]'
	touch $@

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
