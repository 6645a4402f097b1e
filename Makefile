.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install system packages, .venv and the project in it
	@./bootstrap

.PHONY: demo
demo: setup ## Train and serve models for 200 tenants, break things, check every answer
	@$(BIN)/python -m bench demo

.PHONY: test
test: setup ## Run everything that CI runs
	@failed=0; $(BIN)/tox run-parallel -m static || failed=1; $(BIN)/tox run -m running && exit $$failed

COUNT ?= 1000000
SEED ?= 1

.PHONY: fuzz
fuzz: setup ## Compare what is read and counted natively with plain twins, for COUNT inputs that nobody writes from SEED
	@PYTHONPATH=. $(BIN)/python -P tests/fuzz/messages.py --count $(COUNT) --seed $(SEED)
	@PYTHONPATH=. $(BIN)/python -P tests/fuzz/weights.py --count $(COUNT) --seed $(SEED)
	@PYTHONPATH=.:bench/harness $(BIN)/python -P tests/fuzz/counts.py --count $(COUNT) --seed $(SEED)
	@PYTHONPATH=. $(BIN)/python -P tests/fuzz/models.py --count $(COUNT) --seed $(SEED)

.PHONY: fuzz-memory
fuzz-memory: setup ## The same in a debug build and under valgrind, which sees what is used and was never written
	@CROUPIER_DEBUG=1 $(BIN)/python -P setup.py -q build
	@PYTHONPATH=. $(BIN)/python -P tests/fuzz/messages.py --write --count $(COUNT) --seed $(SEED) \
		| PYTHONPATH=build/debug/lib tests/fuzz/under_valgrind \
		$(BIN)/python -P tests/fuzz/messages.py --read --count $(COUNT) --seed $(SEED)

.PHONY: debug
debug: setup ## Run the tests of native code in a debug build, which checks indices, None and C assertions
	@CROUPIER_DEBUG=1 $(BIN)/python -P setup.py -q build
	@PYTHONPATH=$(CURDIR)/build/debug/lib:$(CURDIR) $(BIN)/python -P -m pytest -q tests/cell tests/router tests/croupier tests/sharding \
		--ignore tests/croupier/artifacts --ignore tests/croupier/stores

.PHONY: debug-address
debug-address: setup ## The same of codec, engines and HTTP/2 with AddressSanitizer
	@CROUPIER_SANITIZE=address $(BIN)/python -P setup.py -q build
	@LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so.6)" ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
		PYTHONPATH=$(CURDIR)/build/address/lib:$(CURDIR) $(BIN)/python -P -m pytest -q \
		tests/cell/codec tests/cell/engines tests/croupier/transport/http2

.PHONY: pythons
pythons: setup ## Run the tests on Python 3.12 and 3.13, where they are found
	@$(BIN)/tox run --skip-missing-interpreters true -e py312,py313

.PHONY: hooks
hooks: setup ## Have git run the linters on what is committed, and mypy before a push
	@$(BIN)/pre-commit install --hook-type pre-commit --hook-type pre-push

.PHONY: faults
faults: setup ## Harm a fleet under load in every way that docs/faults.md lists
	@$(BIN)/python -m pytest -q tests/faults

.PHONY: interop
interop: setup ## Call a stack from every language found here, and try other projects' gRPC and HTTP/2 on ours
	@PYTHONPATH=.:tests $(BIN)/python -P -m interop $(PARTS)

.PHONY: peers
peers: setup ## Install what `python -m bench route` and `engines` compare with, and the load
	@./bench/peers/install

.PHONY: serving-peers
serving-peers: setup ## Install what `python -m bench serving` compares a cell with
	@./bench/serving/install

.PHONY: bench
bench: setup ## Measure each part and the whole, in half an hour, and write all figures (after make peers and serving-peers)
	@$(BIN)/python -m bench series standard

.PHONY: bench-front
bench-front: setup ## Measure again what the README shows, in ten minutes, and write its figures (after make peers)
	@$(BIN)/python -m bench series front

.PHONY: bench-all
bench-all: setup ## Measure everything again in its full size, in hours, and write all figures (after make peers)
	@$(BIN)/python -m bench series all

.PHONY: up
up: setup ## Start the local stack and stay in the foreground
	@$(BIN)/croupierctl local up

.PHONY: status
status: setup ## Show the local stack
	@$(BIN)/croupierctl local status

.PHONY: down
down: setup ## Stop the local stack
	@$(BIN)/croupierctl local down

.PHONY: format
format: setup ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

.PHONY: protos
protos: setup ## Generate the code beside each .proto again
	@$(BIN)/tox run -q -e protos -- --write

.PHONY: requirements
requirements: setup ## Pin every requirement again, with hashes
	@PATH="$(CURDIR)/$(BIN):$$PATH" ./requirements/compile

.PHONY: clean
clean: ## Remove everything that was built, and the local stack's data
	@rm -rf .venv .venv-peers .tox .croupier build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
