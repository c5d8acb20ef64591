# Two commands from a fresh clone, with Python 3.11 to 3.13 and make only: `make demo`, `make test`.
# The first that runs: a version manager's `python3.12` may be there and say that it is not.
RUNS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c '$(RUNS)' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
# 2.20 or 2.21. For the other one, take another VENV, or `make clean` first.
TENSORFLOW ?= 2.20
BIN := $(VENV)/bin
# Without an advertisement of the theme's makers.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test slow lint docs docs-serve parity jax tpu beam release clean

$(VENV)/.installed: setup.cfg pyproject.toml
	@test -n '$(PYTHON)' || { echo 'No Python 3.11, 3.12 or 3.13 (with its module venv) runs here:' \
		'say which one with `make PYTHON=/path/to/python3`' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[test,examples,tensorflow-$(subst .,-,$(TENSORFLOW))]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m examples.docs_qa.demo $(DEMO_FLAGS)

# A file at a time, so that what its tests share is made once.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The tests that take long, one at a time, so that neither process waits for the other in the end:
# CI runs them, too.
slow: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'slow and not parity and not tpu and not jax'

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

# The guides and the API reference, in build/docs. A warning is an error.
docs: $(VENV)/.docs
	$(MKDOCS) build --strict

# The same at http://127.0.0.1:8000, made again when a page changes.
docs-serve: $(VENV)/.docs
	$(MKDOCS) serve

# Needs the peers: see CONTRIBUTING.md.
parity: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m parity

# Models, layers and attention on Keras' JAX backend. Needs JAX, see CONTRIBUTING.md. JAX_MODELS are
# the models' tests, all or some.
JAX_MODELS ?= tests/models
ON_JAX := KERAS_BACKEND=jax JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n 2 --dist worksteal
jax: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m jax \
		tests/attention tests/examples tests/models tests/training
	$(ON_JAX) tests/nn tests/attention tests/layers tests/generation \
		tests/training/test_training_checkpoint.py tests/training/test_apply_if_finite.py \
		tests/training/test_throughput.py $(JAX_MODELS)

# Needs libtpu: see CONTRIBUTING.md.
tpu: $(VENV)/.installed
	$(BIN)/python -m pytest -m tpu tests/attention tests/training

# Needs Apache Beam: see CONTRIBUTING.md.
beam: $(VENV)/.installed
	$(BIN)/python -m pytest -m beam tests/examples/test_prepare_beam.py

# See CONTRIBUTING.md: make release VERSION=0.2.0
release: $(VENV)/.installed
	$(BIN)/python -m tools.release $(VERSION)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis demo_output
