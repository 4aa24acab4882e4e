# The benchmarks against other libraries; see benchmarks/README.md. Everything else is in CONTRIBUTING.md.
# Linux with two cores or more, Python 3.11 or newer, a C compiler; Node 20 and npm for grammY, python3.13t if there.

PYTHON ?= python3
# Further options of the driver, for example: make bench ARGS="--ours-python .venv/bin/python"
ARGS ?=

.PHONY: help bench bench-full

help:
	@echo "make bench       the main scenarios and contestants, one round: about 10 minutes; result in benchmarks/result/quick.md"
	@echo "make bench-full  all of them, five interleaved rounds: over night; writes tables into benchmarks/README.md and"
	@echo "                 drawings into docs/figure/"
	@echo "variables        PYTHON=$(PYTHON) ARGS=$(ARGS)"

bench:
	$(PYTHON) benchmarks/compare.py --name quick \
	  --scenario echo network hot open calm flood idle start \
	  --contestant ours ours-free-threaded bare grammy-runner grammy-ordered aiogram pytelegrambotapi $(ARGS)

bench-full:
	$(PYTHON) benchmarks/compare.py --name full --full --rounds 5 --into benchmarks/README.md $(ARGS)
	$(PYTHON) benchmarks/plot.py benchmarks/result/full.json
