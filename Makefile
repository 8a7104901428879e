# make setup   everything that runs needs, into .venv (done by the others when it is due)
# make demo    a healthy brain registered to a brain with a tumour: pictures and files in out/demo
# make test    format, lint, types and every test
# make bench   NAME=metamorphosis [FULL=1] [ONLY=text] [PICTURES=folder]: one benchmark; the last line is JSON

PYTHON := .venv/bin/python
JOBS ?= 2

.PHONY: setup demo test bench

setup:
	@sh Tools/setup.sh

demo: setup
	@$(PYTHON) -m RegistrationSuiteLib.demo --out out/demo

test: setup
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m ruff check
	$(PYTHON) -m mypy
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n $(JOBS)

bench: setup
	@$(PYTHON) Testing/Benchmarks/run.py $(NAME) $(if $(FULL),--full) $(if $(ONLY),--only "$(ONLY)") \
		$(if $(PICTURES),--pictures "$(PICTURES)")
