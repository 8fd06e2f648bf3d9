# Trainyard: `make demo` shows it, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
# Compiled Python is kept, but out of the sources: what is not kept, every process compiles again.
export PYTHONPYCACHEPREFIX = $(CURDIR)/build/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.tools/uv.ok:
	@python3 -m venv .tools && .tools/bin/pip install -q uv && touch $@

# The lock files carry hashes and no addresses, so any index or mirror serves them (docs/decisions).
.venv/ok: requirements-dev.lock .tools/uv.ok
	@.tools/bin/uv venv -q --clear --python 3.11 .venv
	@.tools/bin/uv pip sync -q --python $(PY) --require-hashes requirements-dev.lock
	@.tools/bin/uv pip install -q --python $(PY) --no-deps --no-build-isolation -e . && touch $@

.PHONY: venv lock
venv: .venv/ok  ## the Python environment, from requirements-dev.lock

lock: .tools/uv.ok  ## resolve the dependencies anew (on purpose)
	@.tools/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -o requirements-dev.lock
	@.tools/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c requirements-dev.lock pyproject.toml -o requirements.lock

LOCAL := $(PY) -m local
# CLUSTER=local starts the one-machine cluster; CLUSTER=current uses the cluster of your kubeconfig and images from IMAGES.
CLUSTER ?= local
IMAGES ?=

.PHONY: up down status env images push
up: venv  ## start the local Kubernetes (or find it running); KUBEFLOW=1 with Kubeflow Pipelines
	@$(LOCAL) up $(if $(KUBEFLOW),--kubeflow)

down: venv  ## stop it and leave nothing behind
	@$(LOCAL) down

status: venv  ## what runs, since when, and where
	@$(LOCAL) status

env: venv  ## print exports: eval "$(make -s env)"
	@$(LOCAL) env

images: venv  ## rebuild and import what changed
	@$(LOCAL) images

push: venv  ## push operator, trainer and server to a registry of yours: make push IMAGES=registry.example/trainyard
	@$(LOCAL) push "$(IMAGES)"

.PHONY: demo
ifeq ($(CLUSTER),local)
demo: venv  ## the main job on real input: train, canary, promote, roll back
	@$(LOCAL) up --images
	@$(PY) -m examples.demo $(DEMO_FLAGS)
else
demo: venv
	@$(PY) -m examples.demo --cluster current --registry "$(IMAGES)" $(DEMO_FLAGS)
endif

.PHONY: format check test soak generate verify
format: venv  ## format and sort imports
	@.venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix .

check: venv  ## seconds: format, lint, types, import rules, CRDs equal models, fast tests
	@$(PY) tests/run.py check

test: venv  ## everything, on the local cluster; builds and starts what is missing
	@$(PY) tests/run.py test

soak: venv  ## the exhaustive form; writes docs/soak.md
	@$(PY) tests/run.py soak

generate: venv  ## write crds/ and the chart's copies from the models
	@$(PY) -m trainyard.resources.crd

verify: venv  ## fail where crds/ and the models differ
	@$(PY) -m trainyard.resources.crd --check

.PHONY: bench
bench: venv  ## Trainyard and Argo Rollouts side by side, 100 and 1,000 Rollouts, about 20 minutes; see docs/bench.md
	@$(PY) -m bench $(BENCH_FLAGS)

.PHONY: packages
packages: venv  ## compile the pipeline packages of examples/kubeflow, in the kfp SDK's own environment
	@$(PY) -m examples.kubeflow
