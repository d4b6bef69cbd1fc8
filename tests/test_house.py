"""The house itself: the lock, the wheel, the contracts of the floors, the scripts of setup."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bastion", "recorder", "cli")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()

Run = subprocess.CompletedProcess[str]


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Run:
    """What a command said, without a terminal or standard input."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def committed() -> list[str]:
    """The names of all files that git keeps."""
    names = run("git", "ls-files", "-z")
    assert names.returncode == 0, names.stderr
    return [name for name in names.stdout.split("\0") if name]


def locked() -> dict[str, str]:
    """Each requirement of the lock: its canonical name, and its version."""
    pins = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^ ;\\]+)", LOCK, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


# The lock


def test_every_line_of_the_lock_is_a_pin_with_hashes() -> None:
    """A requirement without an exact version and a SHA-256 would be taken on trust."""
    entries = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", LOCK, flags=re.MULTILINE).strip())
    assert len(entries) == len(locked())
    for entry in entries:
        assert re.match(r"[a-z0-9][\w.-]*==\S+ (; .+ )?\\\n", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_lock_names_no_index_host_or_path() -> None:
    """Where packages come from is a setting of whoever installs them."""
    for forbidden in ("://", " @ ", "--index", "--extra-index", "--find-links", "file:", " /"):
        assert forbidden not in LOCK


def test_everything_asked_for_is_locked_within_its_bounds() -> None:
    """What pyproject.toml names, the build backend and the tools included, stands in the lock."""
    versions = locked()
    asked = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    for requirement in map(Requirement, asked):
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in the lock: make lock"
        assert requirement.specifier.contains(version), f"{requirement}, locked {version}"


def test_asyncssh_is_the_version_whose_undocumented_calls_were_tried() -> None:
    """2.24.0 lets two holes stand in our path; a newer one has to be tried first."""
    assert locked()["asyncssh"] == "2.24.1"


def test_every_requirement_has_a_ceiling() -> None:
    """A new major version is taken on purpose, not by the next `make lock`."""
    for text in [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]:
        assert any(spec.operator == "<" for spec in Requirement(text).specifier), text


# What is committed


def test_no_committed_file_names_the_place_where_it_was_made() -> None:
    """A path of one machine in a file is of no use on any other."""
    place = str(ROOT).encode()
    assert [name for name in committed() if place in (ROOT / name).read_bytes()] == []


def test_committed_text_ends_its_lines_plainly() -> None:
    """No carriage returns in what the shell and Python read, and a newline at the end."""
    for name in committed():
        if name.endswith((".py", ".toml", ".md")) or name.startswith((".ci/", "Makefile")):
            content = (ROOT / name).read_bytes()
            assert b"\r" not in content, name
            assert content.endswith(b"\n"), name


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed_and_open_with_their_words(package: str) -> None:
    """Each package carries py.typed and a docstring."""
    assert (ROOT / package / "py.typed").exists()
    assert ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))


def test_the_wheel_carries_every_committed_file_of_the_packages(tmp_path: Path) -> None:
    """Migrations and markers too, and no tests."""
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("ssh_bastion-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in committed() if name.split("/")[0] in PACKAGES} <= inside
    tops = {name.split("/")[0] for name in inside if ".dist-info/" not in name}
    assert tops == set(PACKAGES)


# The floors


def lint_imports(house: Path) -> Run:
    """The contracts' verdict on the packages below `house`."""
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(house), "NO_COLOR": "1"}
    return run(program, "--no-cache", cwd=house, env=environment)


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """Our contracts over three packages with a few rooms that keep them."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    rooms = {
        "recorder/asciicast.py": "import re\n",
        "recorder/recording.py": "import os\nimport recorder.asciicast\n",
        "bastion/policy.py": "import bastion.rules\n",
        "bastion/rules.py": "import pydantic\n",
        "bastion/store.py": "import sqlalchemy\nimport bastion.policy\n",
        "bastion/migrations/__init__.py": "",
        "bastion/migrations/env.py": "import alembic\nimport sqlalchemy\n",
        "bastion/relay.py": "import asyncio\nimport asyncssh\nimport recorder.recording\n",
        "cli/admin.py": "import click\nimport bastion.store\n",
    }
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for name, text in rooms.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_floors_hold_what_the_design_allows(small_house: Path) -> None:
    """Doors speak asyncssh, the store speaks SQL, the command line speaks to people."""
    verdict = lint_imports(small_house)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    ("room", "line", "complaint"),
    [
        ("recorder/recording.py", "import bastion.policy", "recorder.recording -> bastion.policy"),
        ("bastion/store.py", "import cli.admin", "bastion.store -> cli.admin"),
        ("bastion/rules.py", "import bastion.policy", "bastion.rules -> bastion.policy"),
        ("bastion/policy.py", "import time", "bastion.policy -> time"),
        ("bastion/policy.py", "def f():\n    import asyncio", "bastion.policy -> asyncio"),
        ("recorder/asciicast.py", "from os import path", "recorder.asciicast -> os"),
        ("bastion/policy.py", "import pydantic", "bastion.policy -> pydantic"),
        ("bastion/relay.py", "import sqlalchemy.orm", "bastion.relay -> sqlalchemy"),
        ("cli/admin.py", "import sqlalchemy", "cli.admin -> sqlalchemy"),
        ("bastion/store.py", "import asyncssh", "bastion.store -> asyncssh"),
        ("bastion/relay.py", "import click", "bastion.relay -> click"),
        ("cli/admin.py", "import asciinema", "cli.admin -> asciinema"),
    ],
)
def test_a_step_upstairs_is_seen(small_house: Path, room: str, line: str, complaint: str) -> None:
    """Each rule of the floors is broken once, and the contracts say where."""
    with (small_house / room).open("a") as file:
        file.write(f"{line}\n")
    verdict = lint_imports(small_house)
    assert verdict.returncode == 1
    assert complaint in verdict.stdout


def test_a_room_that_nobody_placed_is_seen(small_house: Path) -> None:
    """A new module has to be given its floor."""
    (small_house / "bastion" / "helpers.py").touch()
    verdict = lint_imports(small_house)
    assert verdict.returncode == 1
    assert "bastion.helpers" in verdict.stdout


def worldly() -> set[str]:
    """The rooms that the contracts let touch the world."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (pure,) = (c for c in contracts if c["name"] == "Rooms are pure unless named here")
    return {line.split(" -> ")[0] for line in pure["ignore_imports"] if line.endswith(" -> *")}


def pure_rooms() -> list[str]:
    """The files of bastion and recorder that know no network, database, clock, loop or file."""
    paths = [path for top in ("bastion", "recorder") for path in (ROOT / top).glob("*.py")]
    names = {path: f"{path.parent.name}.{path.stem}" for path in paths}
    return sorted(str(p.relative_to(ROOT)) for p in paths if names[p] not in worldly())


def test_pure_rooms_open_no_file_and_read_no_clock() -> None:
    """What imports cannot show: `open`, `print`, `datetime.now` need no forbidden module."""
    worldly_calls = {"open", "print", "input", "now", "utcnow", "today", "read_text", "write_text"}
    found = []
    for room in pure_rooms():
        for node in ast.walk(ast.parse((ROOT / room).read_text())):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", None))
                if called in worldly_calls:
                    found.append(f"{room}:{node.lineno} calls {called}")
    assert found == []


# The tests


def test_every_test_states_the_behaviour() -> None:
    """A test's docstring is the sentence that fails when it does."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


# The scripts of setup


@pytest.mark.parametrize("script", ["setup", "system-packages", "lock"])
def test_scripts_need_no_more_than_a_plain_shell(script: str) -> None:
    """Debian's sh is dash: what only bash reads would fail on a fresh machine."""
    path = ROOT / ".ci" / script
    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    parsed = run("sh", "-n", path)
    assert parsed.returncode == 0, parsed.stderr


def test_make_setup_says_and_does_nothing_when_nothing_has_changed() -> None:
    """The tests run in what it made, so there is nothing left for it to do."""
    if not (ROOT / ".venv" / "installed-from").exists():
        pytest.skip("these tests run in another environment than .venv")
    before = (ROOT / ".venv" / "installed-from").stat().st_mtime_ns
    again = run(ROOT / ".ci" / "setup")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (ROOT / ".venv" / "installed-from").stat().st_mtime_ns == before


def stand_in(directory: Path, name: str, script: str) -> None:
    """A program of that name in `directory`."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def system_packages(path: Path, *wanted: str) -> Run:
    """What `.ci/system-packages` says where only the programs in `path` are found."""
    return run(ROOT / ".ci" / "system-packages", *wanted, env={"PATH": str(path)})


def test_packages_that_are_there_cost_nothing(tmp_path: Path) -> None:
    """A command that is found is left alone, whatever package it came from."""
    stand_in(tmp_path, "ssh", "")
    stand_in(tmp_path, "apt-get", "echo apt-get was called; exit 1")
    told = system_packages(tmp_path, "ssh=openssh-client")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_a_person_without_rights_is_told_what_to_run(tmp_path: Path) -> None:
    """One sentence with the command, and nothing is tried."""
    stand_in(tmp_path, "id", "echo 1000")
    stand_in(tmp_path, "apt-get", "echo apt-get was called")
    told = system_packages(tmp_path, "no-such-ssh=openssh-client", "no-such-sshd=openssh-server")
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr == (
        "Missing: openssh-client openssh-server. "
        "Run: sudo apt-get install --no-install-recommends openssh-client openssh-server\n"
    )


def test_another_system_than_debian_is_told_the_names(tmp_path: Path) -> None:
    """Without apt-get there is nothing to run, but something to look for."""
    told = system_packages(tmp_path, "no-such-ssh=openssh-client")
    assert told.returncode == 1
    assert told.stderr.startswith("Missing: openssh-client. This is not Debian")


def test_every_make_command_is_explained() -> None:
    """`make help` lists each, and docs/contributing.md speaks of each."""
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    helped = run("make", "help").stdout
    contributing = (ROOT / "docs" / "contributing.md").read_text()
    for command in phony.split():
        assert re.search(rf"^  make {command} +\S", helped, re.MULTILINE), command
        assert f"make {command}" in contributing, command
