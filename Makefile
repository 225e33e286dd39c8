# make demo    two simulated surveys on one scale; writes demo/
#              real ones: make demo DATA=folder, which holds a fastcannon.toml
# make test    all tests, then the kernel tests again without the compiler
# make check   formatting, lint, types
# make bench   benchmarks; each checks its answer before it is timed
# make bench-kernels   every kernel alone, against bench/baseline.json
# make bench-million   memory of packing a million stars; half an hour
# make bench-galaxy    a run on 20,000 + 20,000 simulated stars against its truth;
#                      half an hour, 30 GB
# make bench-kills     runs killed at random moments end in the same bytes
# Each target first makes .venv and installs what it needs. Another Python:
# make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/installed
KERNEL_TESTS := $(wildcard tests/test_kernels_*.py) tests/test_continuum.py

.PHONY: demo test check bench bench-kernels bench-million bench-galaxy bench-kills clean

demo: $(READY)
	$(BIN)/python -m fastcannon.demo --out demo $(if $(DATA),--data "$(DATA)")

test: $(READY)
	$(BIN)/python -m pytest --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest --cov --cov-append \
	    --cov-report= $(KERNEL_TESTS)
	$(BIN)/coverage report
	$(BIN)/coverage report --include="kernels/*" --fail-under=100

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m bench

bench-kernels: $(READY)
	$(BIN)/python -m pytest bench/test_kernels.py --benchmark-only \
	    --benchmark-json bench/kernels.json
	$(BIN)/python bench/compare.py bench/kernels.json

bench-million: $(READY)
	$(BIN)/python -m bench.million

bench-galaxy: $(READY)
	$(BIN)/python -m bench.galaxy galaxy

bench-kills: $(READY)
	$(BIN)/python -m bench.kills

clean:
	rm -rf .venv .venv-peers demo galaxy bench/kernels.json .coverage build *.egg-info

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "fastcannon needs Python 3.11 or newer, and '$(PYTHON)' is" \
	    "missing or older: name another with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --editable ".[plot,test,dev]"
	touch $(READY)
