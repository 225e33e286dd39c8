# make demo    two simulated surveys on one scale; writes demo/
#              real ones: make demo DATA=folder, which holds a fastcannon.toml
# make test    all tests, then the kernel tests again without the compiler
# make test-oldest   all tests with the oldest versions that setup.cfg allows
# make package   source distribution and wheel, installed and tried elsewhere
# make check   formatting, lint, types
# make docs    docs/ as a web site, docs/_build/html; any warning is an error
# make bench   benchmarks; each checks its answer before it is timed
# make bench-kernels   every kernel alone: spread of its times, beside NumPy's
# make bench-compare   every kernel, inference and training of many sizes, against
#                      bench/baseline.json: fails where one got slower by 15 %
# make bench-instructions   instructions of every kernel, counted by valgrind, against
#                      bench/instructions.json: fails where one takes 2 % more
# make bench-million   memory of packing a million stars; half an hour
# make bench-galaxy    a run on 20,000 + 20,000 simulated stars against its truth;
#                      half an hour, 30 GB
# make reliability     kills, full disks, flipped bits, two processes at once: writes
#                      docs/reliability.md and its pictures; half an hour
# make trust   kernels, pulls, other packages: its part of that page
# make first-hour   a new clone and what is done there: its part of that page
# make fuzz    every reader given damaged files, guided by coverage (atheris, Linux);
#              MINUTES=1 each; findings in fuzz/
# Each target first makes .venv and installs what it needs. Another Python:
# make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
MINUTES ?= 1
READY := .venv/installed
KERNEL_TESTS := $(wildcard tests/test_kernels_*.py) tests/test_continuum.py

.PHONY: demo test test-oldest package check docs bench bench-kernels bench-compare \
    bench-instructions bench-million bench-galaxy reliability trust first-hour fuzz clean

demo: $(READY)
	$(BIN)/python -m fastcannon.demo --out demo $(if $(DATA),--data "$(DATA)")

test: $(READY)
	$(BIN)/python -m pytest --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest --cov --cov-append \
	    --cov-report= $(KERNEL_TESTS)
	$(BIN)/coverage report
	$(BIN)/coverage report --include="kernels/*" --fail-under=100

# Packages that warn of one another's ways are too old for each other, not for us.
test-oldest:
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint tests/oldest.txt \
	    --editable ".[cluster,report,translate]" \
	    hypothesis pytest pytest-benchmark \
	    pytest-cov selenium setuptools
	.venv-oldest/bin/python -m pytest -W ignore::DeprecationWarning

# Outside the repository, where no folder of it can stand in for what is installed.
package: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder/env"; \
	"$$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
	    dist/*.whl; \
	cd "$$folder"; PATH="$$folder/env/bin:$$PATH"; export PATH; \
	python -m pip check; python -m fastcannon --help >/dev/null; fastcannon selftest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going --quiet docs docs/_build/html

bench: $(READY)
	$(BIN)/python -m bench

bench-kernels: $(READY)
	$(BIN)/python -m pytest bench/test_kernels.py --benchmark-only \
	    --benchmark-json bench/kernels.json

bench-compare: $(READY)
	$(BIN)/python -m bench.compare

bench-instructions: $(READY)
	$(BIN)/python -m bench.instructions

bench-million: $(READY)
	$(BIN)/python -m bench.million

bench-galaxy: $(READY)
	$(BIN)/python -m bench.galaxy galaxy

reliability: $(READY)
	$(BIN)/python -m bench.faults

trust: $(READY)
	$(BIN)/python -m bench.trust

first-hour: $(READY)
	$(BIN)/python -m bench.first_hour

fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python -m bench.fuzz --minutes $(MINUTES)
	$(BIN)/python -m pytest --hypothesis-profile=long tests/test_fuzz_*.py

clean:
	rm -rf .venv .venv-oldest .venv-peers demo galaxy fuzz .coverage build dist \
	    bench/kernels.json docs/_build *.egg-info

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "fastcannon needs Python 3.11 or newer, and '$(PYTHON)' is" \
	    "missing or older: name another with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --editable ".[plot,test,dev,docs]"
	touch $(READY)
