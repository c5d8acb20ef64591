# Two commands from a fresh clone, with Python 3.11 and make only: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test slow lint parity tpu clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,examples]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m examples.docs_qa.demo $(DEMO_FLAGS)

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2

# The tests that take long: CI runs them, too.
slow: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 -m 'slow and not parity and not tpu'

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Needs the peers: pip install torch '.[parity,model-garden]'
parity: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 -m parity

# Needs libtpu: pip install '.[tpu-check]'
tpu: $(VENV)/.installed
	$(BIN)/python -m pytest -m tpu

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis demo_output
