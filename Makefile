# Two commands do everything: `make run` and `make test`. All state is under var/ (or THROUGHLINE_HOME).
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Days: the last one fed; those of a replay; those of a backfill.
FROM ?= 2013-09-01
replay: UNTIL ?= 2013-12-31
UNTIL ?= 2013-08-31
# One or several; all in workspace.yaml if empty.
USE_CASE ?=
# By file, so that what a file sets up is set up once; in the order that tests/conftest.py gives.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
BENCH_ARGS ?=
bin := .venv/bin
ready := .venv/.ready
dev := .venv/.ready-dev

.PHONY: help run line feed up monitor replay alive status stop test lint bench bench-serving setup setup-dev lock

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

run: $(ready) ## Set up, run the line, leave endpoints, Dagster and MLflow up (USE_CASE=name: of one use case)
	@$(bin)/throughline run $(USE_CASE)

line: $(ready) ## The same without the user interfaces
	@$(bin)/throughline line $(USE_CASE)

feed: $(ready) ## Publish the airline's files up to UNTIL=2013-08-31
	@$(bin)/throughline feed --until $(UNTIL)

up: $(ready) ## Start the Dagster and MLflow user interfaces only
	@$(bin)/throughline up

monitor: $(ready) ## Open Evidently's dashboards with the history of drift
	@$(bin)/throughline monitor

replay: $(ready) ## Play FROM=2013-09-01 UNTIL=2013-12-31 through the real sensors, schedules and decisions (ASK=1: asks the endpoint too)
	@$(bin)/throughline replay $(USE_CASE) --from $(FROM) --until $(UNTIL) $(if $(ASK),--ask)

alive: $(ready) ## Fail if a daemon, sensor, schedule or monitor has gone quiet
	@$(bin)/throughline alive $(USE_CASE)

status: ## What runs, and where
stop: ## Stop everything this clone started
status stop:
	@if [ -x $(bin)/throughline ]; then $(bin)/throughline $@; else echo "Nothing runs: this clone is not set up yet; 'make run' does that."; fi

test: $(dev) ## Run all tests (they need Chromium and PostgreSQL)
	@sh infra/setup.sh tests
	@$(bin)/python -m pytest $(PYTEST_ARGS)

lint: $(dev) ## Check style, formatting and types
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy

bench: $(ready) ## Measure the line: seconds and memory per stage
	@$(bin)/python -m infra.bench $(BENCH_ARGS)

bench-serving: $(ready) ## Measure the endpoint against other servers of models (they need wrk)
	@$(bin)/python -m infra.bench.serving $(BENCH_ARGS)

setup: $(ready) ## Make .venv from requirements.lock

setup-dev: $(dev) ## The same with what tests and checks need

lock: $(dev) ## Resolve requirements.lock anew from pyproject.toml
	@sh infra/setup.sh lock

$(ready): requirements.lock pyproject.toml infra/setup.sh
	@sh infra/setup.sh run

$(dev): $(ready)
	@sh infra/setup.sh dev
