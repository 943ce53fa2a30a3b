# `make` says what there is. Every command makes or renews .venv by itself, from the lock file, when it has to.

# Written for make 3.81, which is what macOS has: no .ONESHELL, no grouped targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
UV_VERSION := 0.13.9
# A release younger than this is not locked: most that were tampered with are found and withdrawn by then.
COOLDOWN := 3 days
LOCKING = --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --exclude-newer "$(COOLDOWN)" --quiet
# What goes into an image, in the versions of the whole; why each is there is said in the whole.
PART = --constraint $(LOCK) --no-annotate

# Of images. BUILDAH_FORMAT, below: podman and buildah would leave out the health check, which OCI's own format lacks.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
TAG ?= $(VERSION)

# Arguments for the command behind a target: make test ARGS="tests/core -k wait"
ARGS ?=

# How many files of tests run side by side. Most of the time they wait for real programs, so more than there are cores.
PROCESSES ?= 3

# Which Python to build .venv with: make test PYTHON=/opt/python3.13/bin/python3. Otherwise the first of these that will do.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)

##@ Use

help: ## Say what there is
	@awk 'BEGIN { FS = ":.*## "; print "make <target> [ARGS=…] [PYTHON=…]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

up: $(INSTALLED) ## Run everything on this machine: Redis, API and workers
	@$(BIN)/genfleet up $(ARGS)

##@ Develop

install: $(INSTALLED) ## Make or renew .venv and stop there
	@:

test: $(INSTALLED) ## Run the tests, files side by side; PROCESSES=0 runs one after the other, for a debugger
	@env -u KUBECONFIG $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --ignore tests/deploy/test_panels.py $(ARGS)

cluster-test: $(INSTALLED) ## Run the tests that need a cluster, on the one that KUBECONFIG names
	@$(BIN)/python -m pytest tests/cluster $(ARGS)

monitoring-test: $(INSTALLED) ## Ask every panel of the dashboards and every alert, on Debian's Prometheus, fetched if there is none
	@folder=$$(tools/monitoring/prometheus.sh) && PATH="$$folder:$$PATH" \
		$(BIN)/python -m pytest tests/deploy/test_panels.py tests/deploy/test_monitoring.py tests/deploy/test_watchers.py $(ARGS)

fuzz: $(INSTALLED) ## Send the API many requests that nobody thought of: FUZZ_EXAMPLES=1000 FUZZ_SEED=7
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} \
		$(BIN)/python -m pytest tests/service/test_fuzz.py -s $(ARGS)

check: $(INSTALLED) ## Lint, format, types, import contracts and known vulnerabilities; changes nothing
	@failed=; \
	echo "ruff check" && $(BIN)/ruff check --quiet . || failed=1; \
	echo "ruff format" && $(BIN)/ruff format --quiet --diff . || failed=1; \
	echo "mypy" && $(BIN)/mypy || failed=1; \
	echo "import contracts" && $(BIN)/lint-imports --no-logo || failed=1; \
	echo "audit" && $(BIN)/python -m tools.audit || failed=1; \
	test -z "$$failed"

audit: $(INSTALLED) ## Ask PyPI for known vulnerabilities of what is locked; ARGS=--strict fails if it cannot be asked
	@$(BIN)/python -m tools.audit $(ARGS)

sbom: $(INSTALLED) ## Write what is in each image to build/sbom, as CycloneDX
	@$(BIN)/python -m tools.sbom $(ARGS)

format: $(INSTALLED) ## Format, and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

generate: $(INSTALLED) ## Write the files that are made from other files
	@$(BIN)/python -m tools.generate $(ARGS)

chaos: $(INSTALLED) ## Kill, cut, stop and fill everything, beside peers; writes docs/reliability.md: ARGS="--list"
	@env -u KUBECONFIG $(BIN)/python -m tests.chaos $(ARGS)

bench: $(INSTALLED) ## Measure
	@$(BIN)/python -m bench $(ARGS)

lock: pyproject.toml ## Resolve the dependencies again; UPGRADE=1 for newer versions
	@$(FIND_PYTHON); rm -rf build/uv && "$$python" -m venv build/uv && build/uv/bin/pip install --quiet uv==$(UV_VERSION)
	@build/uv/bin/uv pip compile pyproject.toml --extra local --extra dev $(LOCKING) $(if $(UPGRADE),--upgrade) --output-file $(LOCK)
	@build/uv/bin/uv pip compile pyproject.toml --extra service --extra operator --extra otel $(LOCKING) $(PART) --output-file requirements/api.txt
	@build/uv/bin/uv pip compile pyproject.toml --extra worker --extra otel $(LOCKING) $(PART) --output-file requirements/worker.txt
	@echo hatchling | build/uv/bin/uv pip compile - $(LOCKING) $(PART) --output-file requirements/build.txt
	@build/uv/bin/uv pip compile deploy/compose/flower.in $(LOCKING) $(PART) --output-file deploy/compose/flower.txt
	@rm -rf build/uv

images: ## Build both images, with docker, podman or buildah; TAG=… names them, ARGS="--build-arg BASE=…"
	@for each in docker podman buildah; do \
		if "$$each" info >/dev/null 2>&1; then tool="$$each"; break; fi; \
	done; \
	if [ -z "$$tool" ]; then \
		echo "genfleet: images are built by docker, podman or buildah, and none of these works here" >&2; exit 1; \
	fi; \
	for image in api worker; do \
		BUILDAH_FORMAT=docker "$$tool" build --file Dockerfile.$$image --tag genfleet-$$image:$(TAG) \
			--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(ARGS) . || exit 1; \
	done

clean: ## Remove .venv, caches, build output and the data of `make up`
	@rm -rf $(VENV) .genfleet .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist \
		clients/typescript/dist clients/typescript/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help up install test cluster-test monitoring-test fuzz chaos check audit sbom format generate bench lock images clean

# ---- the environment ------------------------------------------------------------------------------------------------

# Sets $python, or says what is missing and what to do about it. A candidate has to run: pyenv's shims exist but may not.
define FIND_PYTHON
python=; without_venv=; \
for candidate in $(PYTHONS); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
		without_venv="$$without_venv $$candidate"; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	if [ -n "$$without_venv" ]; then \
		echo "genfleet:$$without_venv has no venv module." >&2; \
		echo "  Debian, Ubuntu:  sudo apt install python3-venv" >&2; \
	else \
		echo "genfleet needs Python 3.11 or later; none of these is: $(PYTHONS)" >&2; \
		echo "  Debian, Ubuntu:  sudo apt install python3 python3-venv" >&2; \
		echo "  macOS:           brew install python@3.13" >&2; \
	fi; \
	echo "  Installed elsewhere?  make PYTHON=/path/to/python3 …" >&2; \
	exit 1; \
fi
endef

# The stamps hold the folder's name: a virtual environment that was copied or moved would run the code of the old place.
ifneq ($(shell cat $(LOCKED) 2>/dev/null),$(CURDIR))
$(LOCKED): FORCE
endif
FORCE:

$(LOCKED): $(LOCK)
	@$(FIND_PYTHON); echo "Making $(VENV) with $$("$$python" --version); the first time takes a minute or two" >&2; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --require-hashes -r $(LOCK)
	@echo "$(CURDIR)" > $@

$(INSTALLED): $(LOCKED) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
