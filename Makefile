# Trainyard: `make demo` shows it, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
export PYTHONDONTWRITEBYTECODE = 1

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
