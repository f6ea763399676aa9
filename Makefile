# The whole manual: `make help`. Everything happens in the virtual environment .venv beside this file.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TREE   := $(VENV)/tree
# The folders of the repository that are installed below mimo, for tools that read the package from disk.
WINGS  := data synth models recon autofocus viewer train bench commands

.DEFAULT_GOAL := help
.PHONY: help demo test browser lint type bench pictures fresh notebooks docs sample compare learned arrays coverage measured screenshots wheel sanitize clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml setup.py constraints.txt mimo/kernels.c $(wildcard mimo/*.h)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY) ## Install, synthesize a scene, reconstruct it with every method, draw it: out/demo.png
	$(BIN)/python app.py demo

test: $(READY) ## Install, run the tests (not the slow ones), the doctests and the notebooks
	MIMO_NOTEBOOK_SECONDS=5 $(BIN)/python -m pytest -p no:benchmark -n 2 --dist loadfile --no-loadscope-reorder --nbmake tests notebooks

browser: $(READY) ## Install Chromium and drive the viewer's page in it
	sh tests/browser/install_chromium.sh
	$(BIN)/python -m pytest -m 'browser and not slow and not benchmark' tests/browser

wheel: $(READY) ## Build the wheel, install it into a new environment without extras, use it beside decoys
	$(BIN)/python -m pytest tests/package -m package

screenshots: $(READY) ## Take the documentation's pictures of the viewer again, in headless Chromium
	sh tests/browser/install_chromium.sh
	$(BIN)/python docs/screenshots.py

lint: $(READY) ## Check format, style, import direction and the documentation; change nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --silent tree
	cd $(TREE) && PYTHONPATH=. ../bin/lint-imports --config ../../pyproject.toml --no-cache
	if command -v node >/dev/null; then for f in viewer/static/*.js; do node --input-type=module --check < $$f || exit 1; done; fi
	$(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

.PHONY: tree
tree:
	rm -rf $(TREE) && mkdir -p $(TREE) && cp -rl mimo $(TREE)/mimo
	for wing in $(WINGS); do cp -rl $$wing $(TREE)/mimo/$$wing; done
	find $(TREE) -name '*.so' -delete

type: $(READY) ## Check types
	$(MAKE) --silent tree
	$(BIN)/mypy

bench: $(READY) ## Measure the operators against the published way and the machine's bound
	$(BIN)/python app.py bench

pictures: $(READY) ## Make all pictures of the documentation again that the code alone draws, and those of measured data
	$(BIN)/python docs/make.py
	$(BIN)/python docs/measured.py --keep
	$(MAKE) screenshots

fresh: $(READY) ## Say which pictures of the documentation are older than what draws them
	$(BIN)/python docs/fresh.py

notebooks: $(READY) ## Run the notebooks and keep their outputs in them
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb

docs: $(READY) ## Make the generated pages and pictures of docs/ again
	$(BIN)/python docs/make.py

sample: $(READY) ## Make the simulated scan of samples/ again
	$(BIN)/python docs/sample_scan.py

compare: $(READY) ## Compare the methods on unseen scenes, write the tables of docs/iterative.md (under an hour)
	$(BIN)/python docs/compare.py

learned: $(READY) ## Compare the learned methods with all others, write the tables of docs/learned.md (hours)
	$(BIN)/python docs/compare.py --learned --n 100

coverage: $(READY) ## Count how often the truth lies in the stated intervals, write the table of docs/learned.md (half an hour)
	$(BIN)/python docs/coverage.py

arrays: $(READY) ## Compare methods on twelve arrays that no training saw, write the table of docs/arrays.md (half an hour)
	$(BIN)/python docs/other_arrays.py

autofocus: $(READY) ## Plant errors in five radars, correct them, write the table of docs/calibration.md (two hours)
	$(BIN)/python docs/autofocused.py

measured: $(READY) ## Run every method on the measured scans, write the tables and pictures of docs/measured.md (minutes)
	$(BIN)/python docs/measured.py

# A library of its own, so that the one in use stays. Python itself is not instrumented: the sanitizer's runtime, and
# the C++ library whose exceptions it watches, are loaded before it; it would call what Python never frees a leak.
# SELECT is handed to pytest: make sanitize SELECT='-k adjoint'.
SANITIZED := build/kernels-sanitized.so
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SELECT    :=
sanitize: $(READY) $(SANITIZED) ## Build the kernels with address and undefined-behaviour sanitizers, run the operators' tests
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc OMP_NUM_THREADS=1 MIMO_KERNELS=$(CURDIR)/$(SANITIZED) \
	$(BIN)/python -m pytest -p no:cacheprovider -p no:benchmark $(SELECT) \
	tests/mimo/test_operators.py tests/mimo/test_kernels.py tests/mimo/test_range_profiles.py tests/mimo/test_region.py

$(SANITIZED): mimo/kernels.c $(wildcard mimo/*.h)
	mkdir -p $(@D)
	$(CC) -shared -fPIC -g -O1 -fno-math-errno $(SANITIZE) -o $@ mimo/kernels.c

clean: ## Remove the virtual environment and everything made
	rm -rf $(VENV) out build site *.egg-info mimo/_kernels* .pytest_cache .mypy_cache .ruff_cache .hypothesis
