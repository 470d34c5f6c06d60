# make lab     set up and open the lab          make lint    ruff and mypy
# make test    set up and run every test        make test-fast  what most mistakes break
# make peers   compare with the field's tools   make bench   speed beside ggml and llama.cpp
# make measured  measure the shipped model again  make killed  kill every writer of files
# make fuzz    hostile files for every reader

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8501
SHIPPED := fable-7m fable-7m-outliers
TOKENS := 24576

# Tests run in this many processes; a file's tests stay together, and share what they set up. In the
# order of their names long files come first (browser) and short ones last (quantcore's examples).
TEST_PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# What most mistakes break: the rules of the house, examples, ggml's bytes, the forward pass, plans,
# and one visit to each page.
FAST := tests/test_rules.py quantcore tests/engine/formats/test_formats.py \
	tests/engine/model/test_llama.py tests/engine/recipe/test_allocate.py \
	tests/pages/test_every_page.py::test_a_page_teaches_before_anything_is_touched
FAST_NAMES := not without_the_compiler and not threads

.PHONY: lab test test-fast test-engine killed fuzz lint bench peers measured clean

lab: $(VENV)/lab.ready
	$(BIN)/python -m quantcore compile
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/dev.ready
	$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m quantcore compile
	$(PYTEST)

test-fast: $(VENV)/dev.ready
	$(BIN)/python -m quantcore compile
	$(PYTEST) -q $(FAST) -k "$(FAST_NAMES)"

# Everything that multiplies matrices: OPENBLAS_CORETYPE=Haswell makes BLAS take another kernel.
test-engine: $(VENV)/dev.ready
	$(BIN)/python -m quantcore compile
	$(PYTEST) -q tests/engine --ignore tests/engine/formats --ignore tests/engine/test_sweep.py

# Every writer of files, ended by SIGKILL twenty times at random moments.
killed: $(VENV)/dev.ready
	$(BIN)/python -m tests.killed --kills 20

fuzz: $(VENV)/dev.ready
	$(BIN)/python -m tests.fuzz --inputs 200000

lint: $(VENV)/dev.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/peers.ready
	$(BIN)/python -m benchmarks.formats
	$(BIN)/python -m benchmarks.outside_gguf
	$(BIN)/python -m benchmarks.forward
	$(BIN)/python -m benchmarks.sensitivity
	$(BIN)/python -m benchmarks.budget
	$(BIN)/python -m benchmarks.first_use
	$(BIN)/python -m benchmarks.first_chart
	$(BIN)/python -m benchmarks.header
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.whole_file

peers: $(VENV)/peers.ready
	$(BIN)/python -m pytest -m peers

measured: $(VENV)/lab.ready
	for model in $(SHIPPED); do $(MAKE) --no-print-directory measured-$$model || exit 1; done

measured-fable-7m-outliers: TOKENS = 8192
measured-%: SENSITIVITY = assets/$*/sensitivity.json
measured-%: $(VENV)/lab.ready
	$(BIN)/python -m quantcore measure $*
	$(BIN)/python -m quantcore measure $* --caches
	$(BIN)/python -m quantcore measure $* --methods
	$(BIN)/python -m quantcore measure $* --recipes
	$(BIN)/python -m quantcore measure $* --trial
	rm -f $(SENSITIVITY)
	$(BIN)/python -m quantcore sensitivity $* --groups tensor layer role all --tokens $(TOKENS) --skills 20 --guides --output $(SENSITIVITY)
	$(BIN)/python -m quantcore sensitivity $* --groups tensor layer role --hows kept --tokens $(TOKENS) --skills 20 --output $(SENSITIVITY)
	$(BIN)/python -m quantcore measure $* --mixes

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
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
