# A fresh machine needs python3 (3.10 or newer), git and make. `make PYTHON=python3.12 test` chooses another interpreter.

PYTHON ?= python3
UV := $(or $(shell command -v uv),build/uv/bin/uv)
BIN := .venv/bin
READY := .venv/.ready
CHECK_PYTHON = $(PYTHON) -c 'import sys; \
  sys.exit(sys.version_info < (3, 10) and "toollint needs Python 3.10 or newer: try make PYTHON=python3.12")'

.PHONY: demo test lint ecosystem fixed catalogue catalogue-all bench clean

demo: $(READY)
	@echo '== toollint fixtures/demo_agent'
	@$(BIN)/toollint --isolated --exit-zero fixtures/demo_agent
	@echo '== toollint --diff --unsafe-fixes fixtures/demo_agent'
	@$(BIN)/toollint --isolated --diff --unsafe-fixes fixtures/demo_agent || test $$? -eq 1

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/toollint toollint

ecosystem: $(READY)
	$(BIN)/python tools/frontends.py
	$(BIN)/python tools/ecosystem.py

fixed: $(READY)
	$(BIN)/python tools/fixed.py --import

catalogue: $(READY)
	$(BIN)/python tools/catalogue.py smoke
	$(BIN)/python tools/measured.py

catalogue-all: $(READY)
	$(BIN)/python tools/catalogue.py
	$(BIN)/python tools/measured.py

bench: $(READY)
	$(BIN)/python bench/cold.py

clean:
	rm -rf .venv .ecosystem build

# The environment, as uv.lock has it. uv takes the interpreter that is there and never downloads one.
$(READY): uv.lock pyproject.toml $(if $(filter build/%,$(UV)),$(UV))
	@$(CHECK_PYTHON)
	UV_PYTHON_DOWNLOADS=never $(UV) sync --frozen --all-extras --python $(PYTHON)
	@touch $@

build/uv/bin/uv:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv
