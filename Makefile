# The whole manual: `make help`. Everything happens in the virtual environment .venv beside this file.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TREE   := $(VENV)/tree
# The folders of the repository that are installed below mimo, for tools that read the package from disk.
WINGS  := data synth models recon viewer train bench commands

.DEFAULT_GOAL := help
.PHONY: help demo test lint type bench notebooks docs compare learned screenshots clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt mimo/kernels.c $(wildcard mimo/*.h)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY) ## Install, synthesize a scene, reconstruct it with every method, draw it: out/demo.png
	$(BIN)/python app.py demo

test: $(READY) ## Install, run the tests (not the slow ones), the doctests and the notebooks
	sh tests/browser/install_chromium.sh
	$(BIN)/python -m pytest tests README.md mimo synth data recon viewer notebooks --doctest-modules --doctest-glob=README.md --nbmake

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

notebooks: $(READY) ## Run the notebooks and keep their outputs in them
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb

docs: $(READY) ## Make the generated pages and pictures of docs/ again
	$(BIN)/python docs/make.py

compare: $(READY) ## Compare the methods on unseen scenes, write the tables of docs/iterative.md (under an hour)
	$(BIN)/python docs/compare.py

learned: $(READY) ## Compare the learned methods with all others, write the tables of docs/learned.md (hours)
	$(BIN)/python docs/compare.py --learned --n 100

clean: ## Remove the virtual environment and everything made
	rm -rf $(VENV) out build site *.egg-info mimo/_kernels*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
