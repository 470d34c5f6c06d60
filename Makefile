# make lab     set up and open the lab          make lint    ruff
# make test    set up and run every test        make bench   speed beside ggml and llama.cpp
# make peers   compare with the field's tools   make measured  measure the shipped model again

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8501
SENSITIVITY := assets/fable-7m/sensitivity.json
TOKENS := 24576

.PHONY: lab test lint bench peers measured clean

lab: $(VENV)/lab.ready
	$(BIN)/python -m quantcore compile
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/dev.ready
	$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest

lint: $(VENV)/dev.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/peers.ready
	$(BIN)/python -m benchmarks.formats
	$(BIN)/python -m benchmarks.outside_gguf
	$(BIN)/python -m benchmarks.forward
	$(BIN)/python -m benchmarks.sensitivity
	$(BIN)/python -m benchmarks.budget
	$(BIN)/python -m benchmarks.first_use
	$(BIN)/python -m benchmarks.first_chart
	$(BIN)/python -m benchmarks.header
	$(BIN)/python -m benchmarks.whole_file

peers: $(VENV)/peers.ready
	$(BIN)/python -m pytest -m peers

measured: $(VENV)/lab.ready
	$(BIN)/python -m quantcore measure
	rm -f $(SENSITIVITY)
	$(BIN)/python -m quantcore sensitivity --groups tensor layer role all --tokens $(TOKENS) --skills 20 --guides --output $(SENSITIVITY)
	$(BIN)/python -m quantcore sensitivity --groups tensor layer role --hows kept --tokens $(TOKENS) --skills 20 --output $(SENSITIVITY)
	$(BIN)/python -m quantcore measure --mixes

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/lab.ready: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/dev.ready: requirements-dev.txt requirements-cluster.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/peers.ready: requirements-peers.txt requirements-dev.txt requirements-cluster.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.txt
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
