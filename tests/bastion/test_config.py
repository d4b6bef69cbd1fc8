"""Settings: read once; what is wrong is one sentence with the line and the mend."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bastion.addresses import Endpoint
from bastion.admission import Startups
from bastion.config import Settings, check_environment, home_directory
from bastion.errors import Misconfigured
from bastion.home import Home

FILE = Path("/h/bastion.toml")

EVERYTHING = """\
notice = "Be kind."

[listen]
address = "[::1]:2222"
names = ["bastion", "Bastion.Example", "10.0.0.1", "2001:DB8::1"]

[access]
certificate_lifetime = "90m"

[limits]
connect_timeout = "5s"
login_grace = "1m"
without_database = "10m"
drain = "1h"
connections = 10
unauthenticated = "10:30:20"
unauthenticated_per_source = 2

[proxy]
balancers = ["10.0.0.4", "fd00::/8"]

[recording]
directory = "/srv/recordings"
session_limit = "512MiB"
auditors = ["age1gw8r09c865vg3x9m6gumsrl9f5lxkx8z9ccgrjv78kc073nqjd9skjuqxy"]

[database]
url = "sqlite:////srv/bastion.db"
"""


def test_everything_that_can_be_set() -> None:
    """Texts become durations, sizes, addresses."""
    read = Settings.parse(EVERYTHING, FILE)
    assert read.notice == "Be kind."
    assert read.listen.address == Endpoint("::1", 2222)
    assert (read.listen.host, read.listen.port) == ("::1", 2222)
    assert read.listen.names == ("bastion", "bastion.example", "10.0.0.1", "2001:db8::1")
    assert read.access.certificate_lifetime == timedelta(minutes=90)
    assert read.limits.connect_timeout == 5
    assert read.limits.drain == 3600
    assert read.limits.unauthenticated_per_source == Startups(2, 100, 2)
    assert read.limits.unauthenticated == Startups(10, 30, 20)
    assert [str(each) for each in read.proxy.balancers] == ["10.0.0.4/32", "fd00::/8"]
    assert read.recording.session_limit == 2**29
    assert read.recordings(Home(Path("/h"))) == Path("/srv/recordings")
    assert read.database_url(Home(Path("/h"))) == "sqlite:////srv/bastion.db"


def test_nothing_has_to_be_set() -> None:
    """An empty file is the defaults; what is relative lies below the home."""
    read = Settings.parse("", FILE)
    assert read.listen.address == Endpoint("127.0.0.1", 2222)
    assert read.access.certificate_lifetime == timedelta(hours=8)
    assert (read.limits.connect_timeout, read.limits.login_grace) == (10, 30)
    assert read.recording.session_limit == 2**30
    assert read.recordings(Home(Path("/h"))) == Path("/h/recordings")
    assert read.database_url(Home(Path("/h"))) == "sqlite:////h/bastion.db"


def test_the_log_goes_where_the_settings_say() -> None:
    """A file below the home; syslog; anchors that are syslog or channels."""
    said = """
        [audit]
        file = "events.jsonl"
        syslog = "tcp://log.example.org"
        anchors = ["/dev/log", "notify:ops"]
        checkpoint = "30s"
    """
    read = Settings.parse(said, FILE)
    assert read.audit_file(Home(Path("/h"))) == Path("/h/events.jsonl")
    assert str(read.audit.syslog) == "tcp://log.example.org:601"
    assert tuple(map(str, read.audit.anchors)) == ("/dev/log", "ops")
    assert read.audit.checkpoint == 30
    nothing = Settings.parse("", FILE)
    assert nothing.audit_file(Home(Path("/h"))) is None
    assert (nothing.audit.syslog, nothing.audit.anchors) == (None, ())


def test_settings_are_frozen() -> None:
    """What was read at the start holds to the end."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().notice = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x =", r"bastion.toml is not TOML: Invalid value"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
        (
            "[limits]\nconnect_timeut = '1s'",
            r"line 2: 'limits.connect_timeut' is not a setting. Do you mean connect_timeout\?",
        ),
        ("[listn]\na = 1", r"line 1: 'listn' is not a setting. Do you mean listen\?"),
        ("\n\nzzz = 1", r"line 3: 'zzz' is not a setting. Known here: access, accounts, "),
        ("[limits]\nzzz = 1", r"line 2: .* Known here: channels, connect_timeout"),
        ("limits.zzz = 1", r"line 1: 'limits.zzz' is not a setting"),
        (
            "[limits]\n\n# x\ndrain = 3",
            r"line 4: limits.drain: has to be a text between quotes \(it is '3'\)",
        ),
        ("[limits]\ndrain = '-2h'", r"line 2: limits.drain: '-2h' is negative"),
        ("[limits]\ndrain = '0s'", "no time at all"),
        ("[access]\ncertificate_lifetime = '20000d'", "longer than ten years"),
        ("[limits]\nconnections = 0", "greater than or equal to 1"),
        ("[limits]\nconnections = true", "valid integer"),
        ("[limits]\nconnections = '7'", "valid integer"),
        ("[listen]\naddress = 'foo'", "names no port"),
        ("[listen]\naddress = '127.0.0.1:0'", "no port from 1 to 65535"),
        ("[listen]\nnames = ['a b']", r"line 2: listen.names: 'a b' can't be a host name"),
        ("[listen]\nnames = 'bastion'", "listen.names"),
        ("[recording]\nauditors = ['x']", "'x' is not an auditors' public key"),
        (
            "[recording]\nauditors = ['AGE-SECRET-KEY-1ABC']",
            "the auditors' private half: it does not belong",
        ),
        ("[recording]\nsession_limit = '1GB'", "'1GB' is not a size"),
        ("[recording]\ndirectory = ''", "at least 1 character"),
        ("[audit]\nsyslog = 'log:514'", "'log:514' is no address of syslog: write /dev/log"),
        ("[audit]\nsyslog = 3", r"line 2: audit.syslog: has to be a text between quotes"),
        ("[audit]\nanchors = 'notify:ops'", "audit.anchors has to be a list"),
        ("[audit]\nanchors = ['ops']", "'ops' is no anchor: write notify:NAME"),
        ("[audit]\nanchors = ['notify:a b']", "'notify:a b' is no anchor"),
        ("[database]\nurl = ''", "at least 1 character"),
        ("limits = 3", r"line 1: limits has to be a table: write \[limits\] on a line of its own"),
        ("x = " + "[" * 5000, "nested too deeply"),
        ("[limits\ndrain = '1s'", r"not TOML: .*line 1"),
        ('notice = "a\\u001bb"', "control characters"),
        ("notice = 3", "has to be a text between quotes"),
    ],
)
def test_what_can_be_wrong(text: str, said: str) -> None:
    """The file, the line where it is known, what is wrong, what to write."""
    with pytest.raises(Misconfigured, match=said) as refusal:
        Settings.parse(text, FILE)
    assert str(refusal.value).startswith("/h/bastion.toml")
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 500


@given(text=st.text(max_size=100) | st.text("[]=.'\"\n alimtsdrn1", max_size=60))
def test_any_text_is_settings_or_a_sentence(text: str) -> None:
    """Never another exception."""
    try:
        Settings.parse(text, FILE)
    except Misconfigured as error:
        said = str(error)
        assert said.startswith("/h/bastion.toml")


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    """Missing, a directory, not UTF-8, no settings file at all."""
    home = Home(tmp_path)
    with pytest.raises(Misconfigured, match=r"bastion.toml is missing"):
        Settings.read(home)
    home.settings.mkdir()
    with pytest.raises(Misconfigured, match="can't be read: Is a directory"):
        Settings.read(home)
    home.settings.rmdir()
    for content, said in (
        ("notice = 'x'".encode("utf-16"), "not UTF-8"),
        (b"#" * 300_000, "longer than"),
    ):
        home.settings.write_bytes(content)
        with pytest.raises(Misconfigured, match=said):
            Settings.read(home)
    home.settings.write_bytes(b"\xef\xbb\xbfnotice = 'x'\r\n")
    assert Settings.read(home).notice == "x"


def test_where_the_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option, the variable, then by who runs it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/people/alice")
    assert home_directory(Path("here"), {"BASTION_HOME": "/there"}) == tmp_path / "here"
    assert home_directory(None, {"BASTION_HOME": "/there"}) == Path("/there")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert home_directory(None, {"BASTION_HOME": ""}) == Path("/var/lib/bastion")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert home_directory(None, {}) == Path("/people/alice/.local/share/bastion")


def test_unknown_variables_are_refused() -> None:
    """A misspelt one would be ignored silently; others' variables are not ours to judge."""
    check_environment({"BASTION_HOME": "/x", "PATH": "/bin", "_BASTION_ADMIN_COMPLETE": "1"})
    with pytest.raises(
        Misconfigured, match=r"'BASTION_HOEM' is not known. Do you mean BASTION_HOME"
    ):
        check_environment({"BASTION_HOEM": "/x"})
    with pytest.raises(
        Misconfigured, match=r"'BASTION_LISTEN_ADDRESS' is not known. Known: BASTION_HOME"
    ):
        check_environment({"BASTION_LISTEN_ADDRESS": "1"})
