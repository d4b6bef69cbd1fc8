"""Redaction: secrets that the sets know are left out, and what is none stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import BadPattern
from recorder.redaction import LONGEST, MOST, SETS, Redaction, Redactor

AWS = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
GITHUB = "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789"
HASH = "$6$" + "Q1w2e3r4$abcdefghijklmnopqrstuvwxyz0123456789"

SECRETS = {
    "password=hunter2": "password=[redacted]",
    "DB_PASSWORD: 's3 cret'": "DB_PASSWORD: '[redacted]'",
    'export PGPASSWORD="hunter2"; psql': 'export PGPASSWORD="[redacted]"; psql',
    '{"api_key": "abc", "user": "bob"}': '{"api_key": "[redacted]", "user": "bob"}',
    "client.secret = tell; x=1": "client.secret = [redacted]; x=1",
    "tool --password hunter2 --user bob": "tool --password [redacted] --user bob",
    "tool --db-token=abc db": "tool --db-token=[redacted] db",
    "sshpass -p hunter2 ssh web-1": "sshpass -p [redacted] ssh web-1",
    "mysqldump -u root -phunter2 db": "mysqldump -u root -p[redacted] db",
    "curl -s -u bob:hunter2 https://x": "curl -s -u bob:[redacted] https://x",
    "git clone https://bob:hunter2@git/x": "git clone https://bob:[redacted]@git/x",
    "redis://:hunter2@cache:6379": "redis://:[redacted]@cache:6379",
    "-H 'Authorization: Basic Ym9iOng='": "-H 'Authorization: Basic [redacted]'",
    "got Bearer abcdefghijklmnopqrstuv": "got Bearer [redacted]",
    f"id {AWS} and": "id [redacted] and",
    f"aws_secret_access_key = {AWS_SECRET}": "aws_secret_access_key = [redacted]",
    f"cookie {JWT};": "cookie [redacted];",
    f"remote {GITHUB}": "remote [redacted]",
    f"root:{HASH}:19000:0:99999:7:::": "root:[redacted]:19000:0:99999:7:::",
}


def redactor(*patterns: str) -> Redactor:
    return Redactor(Redaction(patterns or ("set:all",)))


@pytest.mark.parametrize(("line", "told"), SECRETS.items())
def test_what_the_sets_know_is_left_out(line: str, told: str) -> None:
    """And the rest of the line is told, so that one sees what it was."""
    assert redactor()(line) == told


@pytest.mark.parametrize(
    "line",
    [
        "[sudo] password for deploy: ",
        "Password: ",
        "the token was refused",
        "https://example.org/path?q=1",
        "ls -la; pwd",
        "mysql -u root -p db",
        "drwxr-xr-x 2 root root 4096 Nov 23 09:00 secrets",
        "see https://bastion/docs#passwords",
        "b3BlbnNzaC1rZXktdjE=",
    ],
)
def test_what_is_no_secret_is_told(line: str) -> None:
    """A prompt, a word, an address."""
    assert redactor()(line) == line


def test_a_private_key_is_left_out_from_its_beginning_to_its_end() -> None:
    """Line by line, indented or not; what comes after it is told."""
    body = ["b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW", "QyNTUx=="]
    lines = [
        "$ cat id_rsa",
        "  -----BEGIN RSA PRIVATE KEY-----",
        "  Proc-Type: 4,ENCRYPTED",
        "",
        *body,
        "-----END RSA PRIVATE KEY-----",
        "$ ls -l",
    ]
    redact = redactor("set:private-keys")
    told = [redact(line) for line in lines]
    assert told == [
        *lines[:2],
        "  [redacted]",
        "",
        "[redacted]",
        "[redacted]",
        *lines[6:],
    ]
    assert redact.count == 3
    assert redactor("set:jwt")(body[0]) == body[0], "only where the set is in force"


def test_a_mention_of_a_key_hides_nothing() -> None:
    """What follows has to look like one."""
    redact = redactor()
    for line in ("grep 'BEGIN RSA'", "-----BEGIN RSA PRIVATE KEY-----", "$ ls -l", "total 12"):
        assert redact(line) == line


def test_a_body_that_comes_again_is_still_left_out() -> None:
    """A screen is told twice, and the second time without its first line."""
    redact = redactor()
    body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz"
    assert redact(body) == "[redacted]"


def test_patterns_of_ones_own() -> None:
    """The parentheses say what is left out, and without any all that was found is."""
    redact = redactor(r"CUST-\d{4}", r"(?i)iban:\s*(\S+)", "a(b)c(d)")
    assert redact("CUST-1234 and IBAN: DE02") == "[redacted] and IBAN: [redacted]"
    assert redact("abcd") == "a[redacted]c[redacted]"
    assert redact.count == 4
    assert redactor("grü(ß)e")("Grüße, grüße") == "Grüße, grü[redacted]e"
    assert redactor(r"(?P<n>a)x", r"(?P<n>b)x")("ax bx") == "[redacted]x [redacted]x"


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("(", r"missing \)"),
        ("(?=look-ahead)", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("x*", "finds nothing at all everywhere"),
        ("", "finds nothing at all everywhere"),
        ("set:jtw", "there are passwords, urls"),
        ("x" * (LONGEST + 1), "longer than"),
        ("(x{1000}){1000}", "invalid repetition size"),
        ("((((x{30}){30}){30}){30})", "invalid repetition size|too large"),
    ],
)
def test_a_pattern_that_cannot_be_is_named(pattern: str, sentence: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(BadPattern, match=sentence):
        Redaction([pattern])
    with pytest.raises(BadPattern, match="more than"):
        Redaction(["x"] * (MOST + 1))


def test_no_pattern_takes_for_ever() -> None:
    """What makes others try for years: nested repetition, over a long line."""
    line = "a" * 20_000 + "!"
    assert redactor(r"(a+)+$", r"(a|aa)+$", r"^(.*a){9}b")(line) == line


def test_nothing_in_force_leaves_everything() -> None:
    """And is said to be nothing."""
    assert not Redaction([])
    assert Redactor(Redaction([]))("password=x") == "password=x"
    assert all(Redaction([f"set:{name}"]) for name in SETS)


@given(st.lists(st.sampled_from([*SECRETS, " ", "x", "é漢", "\ud800", "'", '"'])).map("".join))
def test_all_else_is_told_as_it_was(line: str) -> None:
    """Whatever is in a line, the places are in their order, apart, and within it."""
    redact = redactor()
    spans = redact.spans(line)
    assert all(begin < end for begin, end in spans)
    ends = [0, *(at for span in spans for at in span), len(line)]
    assert ends == sorted(ends)
    kept = [line[begin:end] for begin, end in zip(ends[::2], ends[1::2], strict=True)]
    assert redactor()(line) == "[redacted]".join(kept)
