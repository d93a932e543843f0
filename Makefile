# The task runner, for hooks and CI too. `make help` lists the recipes.

.DEFAULT_GOAL := help
.PHONY: browser help setup package verify-package wheel release demo demo-all demo-release sandbox bench test test-thorough test-browser lint types imports docs docs-check site pytest permissions coverage soak audit second-opinion format lock awscli clean
.DELETE_ON_ERROR:
SHELL := /bin/sh

# No recipe calls AWS; these settings prevent calls by mistake. pip must install into the given environment.
unexport AWS_PROFILE AWS_DEFAULT_PROFILE AWS_ENDPOINT_URL AWS_REGION AWS_DEFAULT_REGION
unexport AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT

# The newest Python of 3.11 to 3.14 that is here, with venv and pip: the functions run on the version that builds them,
# and Lambda supports a newer one for longer. To choose another: `make PYTHON=...`.
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && { command -v $$p; break; }; done)

BIN := .venv/bin
VENV := .venv/.ready
VENV_AWS := .venv-aws/.ready
VENV_DOCS := .venv-docs/.ready
VENV_BROWSER := .venv-browser/.ready
VENV_AUDIT := .venv-audit/.ready
VENV_LOCK := .venv-lock/.ready
VENV_MINISTACK := .venv-ministack/.ready
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes

# Checks a bill of materials against CycloneDX's schema.
CHECK_BILL := import sys; from cyclonedx.schema import SchemaVersion as V; \
	from cyclonedx.validation.json import JsonStrictValidator as J; \
	fault = J(V.V1_6).validate_str(open(sys.argv[1]).read()); sys.exit(fault and f"{sys.argv[1]}: {fault}")

# Scenarios record which permissions their calls needed; tools/needed.py compares them with the policies.
LOGGED := AMI_PROMOTER_PERMISSION_LOG=$(CURDIR)/build/permissions

PACKAGE := build/hub/template.yaml
PACKAGED := app.py LICENSE pyproject.toml requirements.txt tools/package.py tools/checkout.py tools/sbom.py tools/sdk_data.py tools/template_checks.py deploy/target.yaml .chalice/config.json tools/extras.py $(wildcard .chalice/extras/*.yaml) \
	$(wildcard .chalice/policies/*.json) $(shell find chalicelib -type f ! -name '*.pyc')

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV) ## Make .venv with everything pinned (done once)

package: $(PACKAGE) ## Build the deployment package in build/hub/

verify-package: $(VENV) ## Compare a package with what is built here: ZIP=FILE
	@$(BIN)/python -m tools.verify $(ZIP)

demo: $(VENV) $(PACKAGE) ## Promote an AMI without AWS, and watch; TARGETS=200 for more
	@$(BIN)/python -m demo $(if $(TARGETS),--targets $(TARGETS))

demo-all: $(VENV) $(PACKAGE) ## Show every mode, and check the results
	@$(BIN)/python -m demo --all

demo-release: $(VENV) $(PACKAGE) ## Show what follows a copy: waves, a boot that fails, a recall
	@$(BIN)/python -m demo --releases

sandbox: $(VENV) $(VENV_AWS) $(PACKAGE) ## Keep a simulated hub and targets up, for your commands
	@$(BIN)/python -m demo.sandbox

bench: $(VENV) $(PACKAGE) ## Measure the service; writes docs/reference/benchmarks.md
	@$(BIN)/python -m bench

test: ## Run all checks and most tests
	@$(MAKE) --no-print-directory --jobs 2 lint types imports docs-check site $(VENV_AWS) $(PACKAGE)
	@$(MAKE) --no-print-directory pytest

test-thorough: $(VENV) $(VENV_AWS) $(PACKAGE) ## Run the other tests: many cases of one thing, or long
	$(BIN)/pytest -n 2 --dist worksteal -m thorough

test-browser: browser $(VENV) $(VENV_BROWSER) $(PACKAGE) ## Test the page of `ami-promoter report` in Chromium
	@rm -rf build/browser
	$(BIN)/python -m tests.browser.write_pages build/browser
	.venv-browser/bin/python -m pytest -c tests/browser/pytest.ini tests/browser

browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		echo "No chromium and chromedriver were found; the page's tests need both."; \
		echo "Install them (Debian: apt-get install --no-install-recommends chromium chromium-driver)."; \
		exit 1; }

wheel: $(VENV) ## Build the command line for pipx: build/wheel/
	@$(BIN)/python -m tools.wheel

release: $(VENV) $(PACKAGE) ## Build all that is released; TAG=v1.2.3 for that version
	@$(BIN)/python -m tools.release $(if $(TAG),--tag $(TAG))

lint: $(VENV) ## Check code and format (ruff), and workflows (zizmor)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/zizmor --offline --quiet --strict-collection --pedantic --min-severity low .github/workflows

types: $(VENV) ## Check types (mypy --strict)
	$(BIN)/mypy

imports: $(VENV) ## Check the import rules (import-linter)
	$(BIN)/lint-imports --no-logo
	cd awsim && ../$(BIN)/lint-imports --no-logo

docs: $(VENV) $(PACKAGE) ## Write the generated parts of docs/
	$(BIN)/python -m tools.docs

docs-check: $(VENV) ## Check that the generated docs are up to date
	$(BIN)/python -m tools.docs --check

site: $(VENV_DOCS) ## Build docs/ as a static site in build/site
	@rm -rf build/site
	@.venv-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env \
		--conf-dir docs --doctree-dir build/site-doctrees . build/site

pytest: $(VENV) $(VENV_AWS) $(PACKAGE) ## Run the tests, and check that each permission is needed
	@rm -rf build/permissions
	$(LOGGED) $(BIN)/pytest -n 2 --dist worksteal -m "not thorough"
	$(BIN)/python -m tools.needed

permissions: $(VENV) $(VENV_AWS) $(PACKAGE) ## Run scenarios and stories alone, and check the permissions
	@rm -rf build/permissions
	$(LOGGED) $(BIN)/pytest -n 2 --dist worksteal tests/scenarios tests/stories
	$(BIN)/python -m tools.needed

coverage: $(VENV) $(VENV_AWS) $(PACKAGE) ## Run the tests with coverage; a third slower
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=term

soak: $(VENV) $(PACKAGE) ## Try new random cases: make soak MINUTES=30
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(if $(PART),--part $(PART))

audit: $(VENV_AUDIT) $(PACKAGE) ## Look up known vulnerabilities of the shipped packages
	@.venv-audit/bin/python -c '$(CHECK_BILL)' build/hub/sbom.cdx.json
	@.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt || { \
		echo "audit: failed. If no vulnerability is listed above, no database was reached and nothing was looked up:"; \
		echo "pip-audit needs the database of the package index itself; a mirror has no vulnerabilities."; exit 1; }

second-opinion: $(VENV) $(VENV_AWS) $(VENV_MINISTACK) $(PACKAGE) ## Follow the deploy guide on an independent emulator
	@$(BIN)/python -m tools.second_opinion

format: $(VENV) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# With extras: pip checks hashes of a requirement with an extra only against a pin that names it.
lock: $(VENV_LOCK) ## Pin the requirements again; LOCK=--upgrade for newer ones
	for name in requirements requirements/dev requirements/docs requirements/awscli requirements/ministack requirements/browser requirements/audit requirements/lock; do \
		of=; test $$name != requirements/dev || of="awsim/pyproject.toml --extra test"; \
		.venv-lock/bin/uv --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-header --no-emit-index-url --no-strip-extras $(LOCK) $$name.in $$of -o $$name.txt || exit 1; done

awscli: $(VENV_AWS) ## Make .venv-aws with the real aws command line (done once)

clean: ## Remove build output and caches; environments stay
	rm -rf build .sandbox .chalice/deployments .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf .coverage .coverage.* htmlcov *.egg-info awsim/.*_cache awsim/src/*.egg-info

$(VENV): requirements/dev.txt pyproject.toml awsim/pyproject.toml
	$(call venv,.venv)
	@echo "Installing the pinned tools and libraries; a minute or two, once."
	@$(BIN)/python $(PIP_INSTALL) -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable awsim
	@touch $@

$(VENV_AWS): requirements/awscli.txt
	$(call venv,.venv-aws)
	@echo "Installing the aws command line; a minute, once."
	@.venv-aws/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV_DOCS): requirements/docs.txt
	$(call venv,.venv-docs)
	@.venv-docs/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV_MINISTACK): requirements/ministack.txt
	$(call venv,.venv-ministack)
	@.venv-ministack/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV_BROWSER): requirements/browser.txt
	$(call venv,.venv-browser)
	@.venv-browser/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV_AUDIT): requirements/audit.txt
	$(call venv,.venv-audit)
	@.venv-audit/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(VENV_LOCK): requirements/lock.txt
	$(call venv,.venv-lock)
	@.venv-lock/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(PACKAGE): $(PACKAGED) $(VENV)
	@$(BIN)/python -m tools.package

define venv
	@test -x $(1)/bin/python || test -n "$(PYTHON)" || { \
		echo "No Python 3.11, 3.12, 3.13 or 3.14 with the venv module was found."; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12"; \
		exit 1; }
	@test -x $(1)/bin/python || "$(PYTHON)" -m venv $(1)
endef
