# The whole vocabulary: venv demo run serve test test-slow test-long lint bench docs. Each works on a clean checkout.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: venv demo run serve test test-slow test-long lint bench docs

venv: .venv/runtime

.venv/runtime: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/development: .venv/runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

demo: venv
	@exec $(BIN)/python manage.py demo

run: venv
	$(BIN)/python manage.py migrate --verbosity 0
	CRM_DEBUG=1 $(BIN)/python manage.py runserver

serve: venv
	$(BIN)/python manage.py migrate --verbosity 0
	exec $(BIN)/gunicorn --config deploy/gunicorn.conf.py crm.wsgi:application

test: .venv/development
	$(BIN)/python -m tests

test-slow: .venv/development
	$(BIN)/python -m tests --slow

test-long: .venv/development
	$(BIN)/python -m tests --long

lint: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy crm contacts messaging
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: .venv/development
	$(BIN)/python -m tests.bench

docs: .venv/development
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/reference/openapi.yaml
