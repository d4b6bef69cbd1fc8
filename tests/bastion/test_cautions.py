"""Cautions: what is said of a template to whoever grants it."""

import pytest

from bastion.cautions import cautions
from bastion.programs import known
from bastion.templates import parse_template


def told(line: str) -> list[str]:
    return list(map(str, cautions(parse_template(line))))


@pytest.mark.parametrize(
    "line",
    [
        *["vim x", "/usr/bin/less /var/log/x", "tar -cf - x", "sudo id", "python3.11 x.py"],
        *["find {path:/srv} -name x", "git -C /srv/x fetch", "rsync --server . /srv", "psql -X"],
        *["kubectl exec web -- date", "docker run {word}", "journalctl -u nginx", "{cat,less} x"],
        *["systemctl edit nginx", "systemctl {status,restart} x", "tee /etc/x", "bash"],
    ],
)
def test_programs_that_do_more_are_told_of(line: str) -> None:
    """With what they can do, what to use instead, and the template that is meant."""
    (sentence,) = told(line)
    assert " can " in sentence
    assert "Instead " in sentence
    assert str(parse_template(line)) in sentence


@pytest.mark.parametrize(
    "line",
    [
        *["uptime", "/usr/local/bin/deploy now", "cat /usr/bin/vim", "tail -n {int:1-9} /x"],
        *["journalctl --no-pager --unit={nginx,php-fpm}", "systemctl restart {nginx,php-fpm}"],
        *["systemctl --no-pager status {word}", "echo {words}", "id {word!}", "top -b -n 1"],
        *["systemctl {start,stop} nginx", "{tty} mytool"],
    ],
)
def test_others_are_not(line: str) -> None:
    """It is the program that counts, not its arguments; some words make it keep to its task."""
    assert told(line) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("tar {words}", "{words}"),
        ("git {words!}", "{words!}"),
        ("find /srv {word!} x", "{word!}"),
        ("rsync --rsh={re!:[a-z]+} {words}", "{re!:[a-z]+}"),
        ("journalctl --no-pager {words}", "{words}"),
    ],
)
def test_what_is_left_open_to_such_a_program_is_told_too(line: str, what: str) -> None:
    """As an option may be all that it takes."""
    first, second = told(line)
    assert " can " in first
    assert second.startswith(f"{what} leaves it to whoever runs it")


def test_a_terminal_is_told_of() -> None:
    """Where the program is one that takes keys."""
    sentence = told("{tty} journalctl --no-pager")
    what = "On a terminal journalctl can be led by keys: {tty} journalctl --no-pager."
    assert sentence == [f"{what} Leave {{tty}} away where it is not needed."]


def test_behind_a_carrier_the_program_counts() -> None:
    """`sudo less` is no better than less."""
    sentences = told("sudo -u root less /var/log/x")
    assert [sentence.partition(" can ")[0] for sentence in sentences] == ["sudo", "less"]
    sentences = told("sudo env nice {cat,vim} x")
    assert [s.partition(" can ")[0] for s in sentences] == ["sudo", "env", "nice", "vim"]


@pytest.mark.parametrize("name", ["less", "/bin/less", "python3.11", "lua5.4", "../x/tar", "7z"])
def test_programs_are_known_by_any_path_and_version(name: str) -> None:
    """As a target may have them."""
    assert known(name) is not None


@pytest.mark.parametrize("name", ["", "/", "lessen", "3", "cat", "5.4"])
def test_others_are_unknown(name: str) -> None:
    """The whole name counts."""
    assert known(name) is None
