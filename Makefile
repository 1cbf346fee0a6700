# Each target sets up what it needs: a virtual environment in this folder, one installation for all.
# Needs only Python >= 3.11 with pip and venv, git and make. IMAGES=folder measures on your pictures,
# ROUNDS=n measures n blocks, or adds to those of the last run up to n; ARGS passes anything else on.
# ON=tcp://scheduler:8786 measures once on each host of a Dask cluster, and gathers the results.
# PYTHON=/path/to/python (python3.14t, too) and TORCH=2.9.1 measure with these, in an environment of
# their own.
PYTHON ?= python3
VENV := .venv
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
  TELL := -c 'import sys; print("%d.%d" % sys.version_info[:2] + getattr(sys, "abiflags", ""))'
  ASKED := $(shell $(PYTHON) $(TELL))
  $(if $(ASKED),,$(error $(PYTHON) cannot be run))
  KEPT := $(if $(wildcard .venv/bin/python),$(shell .venv/bin/python $(TELL)),$(ASKED))
  VENV := .venv$(if $(filter-out $(KEPT),$(ASKED)),-py$(ASKED))
endif
ifneq ($(value TORCH),)
  $(if $(filter-out 1,$(words $(value TORCH)))$(shell printf %s '$(subst ','"'"',$(value TORCH))' | tr -d '0-9.'),\
    $(error TORCH is to be a release, such as 2.9.1))
  VENV := $(VENV)-torch$(value TORCH)
endif
OTHER := $(filter-out .venv,$(VENV))
ifneq ($(filter study standard full loaders trainers remote peers repeat,$(or $(MAKECMDGOALS),study)),)
  $(if $(value ON),$(if $(OTHER),$(error ON measures with the environment that each host has: leave \
    PYTHON and TORCH out, or start the workers in such an environment)))
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
RUN := $(BIN)/python -m
# As they were given: neither make nor the shell reads blanks, quotes or dollars in them.
export GIVEN_IMAGES := $(value IMAGES)
export GIVEN_ROUNDS := $(value ROUNDS)
export GIVEN_TARGET := $(value TARGET)
export GIVEN_ON := $(value ON)
export GIVEN_BASE := $(value BASE)
# Else each of hundreds of processes compiles the project anew, and workers' starts are timed so.
unexport PYTHONDONTWRITEBYTECODE
STUDY = $(RUN) $(if $(value ON),scripts.study_on "--on=$$GIVEN_ON",scripts.study) $${GIVEN_IMAGES:+"--images=$$GIVEN_IMAGES"} \
  $${GIVEN_ROUNDS:+"--rounds=$$GIVEN_ROUNDS"} $(if $(OTHER),--beside)
# Long files are shared out: a worker that has nothing left takes tests from another.
TEST = $(RUN) pytest --numprocesses auto --dist worksteal

.PHONY: help study standard full loaders trainers remote peers repeat compare doctor report publish submit test test-fast lint clean
.DEFAULT_GOAL := study

study: $(READY)  ## quick profile: measure, judge, write the page (seven to fifteen minutes)
	@$(STUDY) --profile quick $(value ARGS)

standard: $(READY)  ## the profile of the committed results (one to two hours)
	@$(STUDY) --profile standard $(value ARGS)

full: $(READY)  ## bigger counts and sizes (hours)
	@$(STUDY) --profile full $(value ARGS)

loaders: $(READY)  ## what to use instead: every loader beside its ceiling (one to two hours)
	@$(STUDY) --profile loaders $(value ARGS)

trainers: $(READY)  ## loaders beside trainers, of stored pixels and of crops (an hour or more)
	@$(STUDY) --profile trainers $(value ARGS)

remote: $(READY)  ## loaders of an object store, over lines of stated speed (an hour or more)
	@$(STUDY) --profile remote $(value ARGS)

peers: $(PEERS) loaders remote  ## loaders and remote, with specialised loaders installed beside them

repeat: $(READY)  ## the standard profile again: the page compares it with the first run
	@$(STUDY) --profile standard --repeat $(value ARGS)

compare: $(READY)  ## what became slower since BASE=revision: measures what the change touches on both
	@$(RUN) scripts.compare_revisions --base="$$GIVEN_BASE" $${GIVEN_ROUNDS:+"--rounds=$$GIVEN_ROUNDS"} $(value ARGS)

doctor: $(READY)  ## why the dataset TARGET is slow: a folder, module:object or file.py:object
	@$(RUN) datasets_impl.doctor "$$GIVEN_TARGET" $(value ARGS)

report: $(READY)  ## render the committed results again into results/report
	@$(RUN) scripts.render_report --out results/report $(value ARGS)
	@$(RUN) scripts.update_readme

publish: $(READY)  ## the committed report with asv's own pages, whole without network; needs npm
	@$(RUN) scripts.publish $(value ARGS)

submit: $(READY)  ## check the results of make standard, and write the files to send
	@$(RUN) scripts.validate out/standard/results --out out/submit $(value ARGS)

help:  ## what each target does
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' $(MAKEFILE_LIST)

test: $(READY)  ## the whole test suite, on all cores
	@$(TEST) $(value ARGS)

test-fast: $(READY)  ## the tests that take less than a second each
	@$(TEST) -m "not slow" $(value ARGS)

lint: $(READY)  ## ruff, mypy, the contracts of imports, and asv's check of the suite (10 s of it)
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy && $(BIN)/lint-imports
	@DATASET_STUDY_PROFILE=full $(RUN) asv check -E existing:same

$(PEERS): requirements-peers.txt $(READY)
	@echo "Adding the specialised loaders to $(VENV): about a minute."
	@$(RUN) pip install --quiet --no-deps --requirement requirements-peers.txt
	@echo "Compiling FFCV."
	@$(RUN) pip install --quiet --no-deps ffcv==1.0.2 fastargs==1.2.0 assertpy==1.1 \
	  terminaltables==3.1.10 pytorch-pfn-extras==0.9.0 >$(VENV)/ffcv.log 2>&1 \
	  || echo "FFCV could not be compiled and is left out; Debian: apt-get install libturbojpeg0-dev \
	libopencv-dev pkg-config g++ (see $(VENV)/ffcv.log)" >&2
	@touch $(PEERS)

clean:  ## remove the environments and what asv and pip left here; measured results in out/ stay
	rm -rf .venv $(patsubst %/.ready,%,$(wildcard .venv-*/.ready)) .asv build
	@[ ! -e out ] || echo "out/ stays: it holds measured results; remove it with rm -r out."

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/a/newer/python" >&2; exit 2; }
	@echo "Setting up $(VENV): about two minutes and 6 GB, once."
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "error: $(PYTHON) cannot make virtual environments; install its venv package (Debian: python3-venv)" >&2; exit 2; }
	@$(BIN)/python scripts/install.py $(if $(OTHER),--beside --torch=$(TORCH))
	@touch $(READY)
