# Every command works from a fresh clone, and again at once when nothing has changed.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format faults fuzz bench soak lock clean

BIN := .venv/bin
CODE := bastion recorder cli tests

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from the lock and put the project into it
	@.ci/setup

demo: setup ## a whole story on loopback, with the real ssh client (ARGS=--keep to stay)
	@.ci/system-packages ssh=openssh-client
	@$(BIN)/bastion-admin demo $(ARGS)

test: setup ## every test, on up to four cores (ARGS="-k grant -x" to choose, "-n 0" for one at a time)
	@.ci/system-packages ssh=openssh-client sshd=openssh-server git=git rsync=rsync plink=putty-tools lftp=lftp sshfs=sshfs curl=curl zsh=zsh dash=dash busybox=busybox zstd=zstd age=age openssh-tests postgresql systemd-analyze=systemd
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 $(ARGS)

check: setup ## format, lint, types, import contracts
	@$(BIN)/ruff format --check --quiet . || { echo "make format mends the layout"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-logo

format: setup ## mend the layout and what ruff can mend by itself
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

faults: setup ## a database that stops, hangs or is cut off under load, a clock that is set: some minutes
	@.ci/system-packages ssh=openssh-client sshd=openssh-server postgresql age=age zstd=zstd
	@$(BIN)/python -m pytest -m faults $(ARGS)

fuzz: setup ## hostile input for every reader, ten minutes (ARGS="5 sftp_client": seconds each, which)
	@$(BIN)/python -m tests.fuzz $(or $(ARGS),24)

bench: setup ## the figures of docs/performance.md, beside OpenSSH's
	@.ci/system-packages ssh=openssh-client sshd=openssh-server
	@$(BIN)/python -m tests.bench $(ARGS)

soak: setup ## an hour of mixed load, and whether anything grows (ARGS="--minutes 10 --seed 7 --no-kills")
	@.ci/system-packages ssh=openssh-client sshd=openssh-server
	@$(BIN)/python -m tests.soak $(ARGS)

lock: setup ## write requirements.lock anew (ARGS=--upgrade for newer versions)
	@.ci/lock $(ARGS)
	@.ci/setup

clean: ## remove what the commands above have made
	@rm -rf .venv .venv.lock build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
