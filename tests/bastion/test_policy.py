"""The three doors, against a plain model of them, and what a proof is worth."""

import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.denials import Denial, Reason
from bastion.files import parse_files
from bastion.forwards import parse_forward
from bastion.grants import Allows, Certificate, Grant, State
from bastion.inventory import Host, ShellType
from bastion.policy import (
    Ask,
    Identity,
    Knock,
    Mode,
    Permit,
    Reach,
    Run,
    may_login,
    may_reach,
    may_run,
)
from bastion.templates import parse_template
from bastion.windows import Window, parse_window
from recorder import Direction
from tests.bastion.worlds import (
    HOUR,
    NOW,
    SECOND,
    SHELL,
    certificate,
    grant,
    host,
    key,
    selectors,
    user,
)

ALICE = Identity(user(), key("alice-1"), "10.1.2.3")
UPTIME = Allows(commands=(parse_template("uptime"), parse_template("df -h")))
DB = Allows(commands=(parse_template("uptime"),), forwards=(parse_forward("db:5432"),))
TO_DB = Ask(Mode.FORWARD, to=("DB", 5432))
SHELL_ASK = Ask(Mode.SHELL)


def ask(line: str) -> Ask:
    """An exec request as the client sends it."""
    return Ask(Mode.EXEC, line.encode())


def knock(
    *grants: Grant,
    at: Host | None = host(),  # noqa: B008 - a frozen value
    asked: str = "prod-host",
    port: int = 22,
    certificates: tuple[Certificate, ...] | None = None,
    identity: Identity = ALICE,
) -> Knock:
    """Alice asks for prod-host, with a certificate for all of `grants` unless told otherwise."""
    if certificates is None:
        certificates = (certificate(*(g.id for g in grants)),)
    return Knock(identity, asked, at, port, grants, certificates)


def reached(*grants: Grant, at: Host | None = None) -> Reach:
    """Door 1, passed."""
    answer = may_reach(knock(*grants, at=at or host()), NOW)
    assert isinstance(answer, Reach), answer
    return answer


def admitted(*grants: Grant, at: Host | None = None) -> Permit:
    """Doors 1 and 2, passed as deploy."""
    answer = may_login(reached(*grants, at=at), "deploy", NOW)
    assert isinstance(answer, Permit), answer
    return answer


# A model: everything about the world at once, no doors


@dataclass(frozen=True)
class World:
    """Somebody wants to run something somewhere."""

    knock: Knock
    login: str
    ask: Ask
    times: tuple[datetime, datetime, datetime]


T = TypeVar("T")


def mostly(good: T, *others: T) -> st.SearchStrategy[T]:
    """Usually right, so that a world is often wrong in one thing only."""
    return st.sampled_from([good] * 8 + list(others))


TOKEN = replace(key("alice-1"), algorithm="sk-ssh-ed25519@openssh.com")
WINDOWS = tuple(
    parse_window("mon", hours, None)  # NOW is a Monday's noon
    for hours in ("09:00-17:00", "09:00-12:00", "12:00-13:00", "12:01-17:00")
)
few_hosts = mostly(host(), None, host("db-1", port=2022), host("web", shell_type=None))
passing = mostly(timedelta(0), SECOND, HOUR)


@st.composite
def grants(draw: st.DrawFn, number: int) -> Grant:
    """A grant near the question."""
    starts_at = NOW + draw(mostly(-HOUR, -SECOND, timedelta(0), SECOND))
    revoked_in = draw(mostly(None, -SECOND, timedelta(0), SECOND))
    return replace(
        grant(
            number,
            to=draw(mostly("alice", "bob")),
            hosts=selectors(draw(mostly("*", "prod-host", "db-*", "web"))),
            logins=draw(mostly({"deploy", "root"}, {"deploy"}, {"root"})),
            allows=draw(
                st.sampled_from(
                    [SHELL, UPTIME, UPTIME, DB, Allows(commands=(parse_template("id"),))]
                )
            ),
            starts_at=starts_at,
            ends_at=starts_at + draw(mostly(4 * HOUR, SECOND, HOUR, HOUR + SECOND)),
        ),
        sources=draw(mostly((), (ip_network("10.0.0.0/8"),), (ip_network("192.168.0.0/16"),))),
        revoked_at=None if revoked_in is None else NOW + revoked_in,
        window=draw(mostly(None, *WINDOWS)),
        hardware=draw(mostly(False, True)),
        watch=draw(mostly(False, True)),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any world, with times that go on from door to door."""
    count = draw(mostly(2, 0, 1, 3))
    certificates = [
        certificate(
            *draw(mostly(frozenset({1, 2}), frozenset(), frozenset({2}), frozenset({3}))),
            serial=serial,
            valid_before=NOW + draw(mostly(HOUR, timedelta(0), -SECOND, SECOND)),
        )
        for serial in (1, 2)
    ]
    alice = replace(ALICE.user, disabled_at=draw(mostly(None, NOW)))
    shown = draw(mostly(ALICE.key, TOKEN))
    waits = draw(passing), draw(passing)
    return World(
        Knock(
            replace(ALICE, user=alice, key=shown, source=draw(mostly("10.1.2.3", "1.1.1.1"))),
            "typed",
            draw(few_hosts),
            draw(mostly(22, 2022, 80)),
            tuple(draw(grants(number)) for number in range(1, count + 1)),
            tuple(certificates),
        ),
        draw(mostly("deploy", "root", "nobody")),
        draw(
            st.sampled_from(
                [
                    *(SHELL_ASK, ask("uptime"), ask("df  '-h'"), ask("id;id")),
                    *(Ask(Mode.SUBSYSTEM), TO_DB, Ask(Mode.FORWARD, to=("db", 22))),
                ]
            )
        ),
        (NOW, NOW + waits[0], NOW + waits[0] + waits[1]),
    )


def allowed_by(world: World) -> set[int]:
    """The ids of grants by which it may be run, said in one breath."""
    asking, (first, _, last) = world.knock, world.times
    target = asking.host
    if target is None or asking.port not in (22, target.port):
        return set()
    if asking.identity.user.disabled_at is not None or world.ask.mode is Mode.SUBSYSTEM:
        return set()
    certified = {
        i for c in asking.certificates if c.valid_after <= first < c.valid_before for i in c.grants
    }
    return {
        g.id
        for g in asking.grants
        if g.user == "alice"
        and g.id in certified
        and g.covers(target)
        and world.login in g.logins
        and g.starts_at <= first
        and last < g.ends_at
        and g.revoked_at is None
        and open_throughout(g.window, world.times)
        and (asking.identity.key == TOKEN or not g.hardware)
        and g.usable_from(asking.identity.source)
        and (
            (g.allows == DB and world.ask == TO_DB)
            if world.ask.mode is Mode.FORWARD
            else g.allows.shell
            or (
                target.shell_type is not None
                and world.ask.mode is Mode.EXEC
                and any(world.ask.command.split() in said for said in spellings(g.allows))
            )
        )
    }


def open_throughout(window: Window | None, times: tuple[datetime, ...]) -> bool:
    """Whether each of these Monday times lies within the hours."""
    return window is None or all(window.opens <= at.time() < window.closes for at in times)


def spellings(allows: Allows) -> list[list[list[bytes]]]:
    """Each command as this test may write it."""
    plain = [str(command).encode().split() for command in allows.commands]
    return [[words, [b"'-h'" if word == b"-h" else word for word in words]] for words in plain]


def through(world: World) -> Run | Denial:
    """All three doors, one after the other, as time goes on."""
    first, second, third = world.times
    reach = may_reach(world.knock, first)
    if isinstance(reach, Denial):
        return reach
    permit = may_login(reach, world.login, second)
    if isinstance(permit, Denial):
        return permit
    return may_run(permit, world.ask, third)


@given(world=worlds())
def test_the_doors_let_through_what_some_grant_allows_and_nothing_else(world: World) -> None:
    """One grant must allow all of it: never the host of one and the login of another."""
    answer = through(world)
    right = allowed_by(world)
    if isinstance(answer, Denial):
        assert not right, answer
        assert answer.sentence.isprintable()
        return
    assert answer.grant.id in right
    unwatched = {g.id for g in world.knock.grants if not g.watch}
    assert answer.watched == (not right & unwatched)
    assert (answer.host, answer.login, answer.ask) == (world.knock.host, world.login, world.ask)


@given(world=worlds())
def test_a_command_grant_sends_its_own_words(world: World) -> None:
    """Never the text that came in; with a shell, what came in goes on as it is."""
    answer = through(world)
    if isinstance(answer, Run) and answer.ask.mode is Mode.FORWARD:
        assert answer.forced == "/bin/false"
    elif isinstance(answer, Run) and not answer.grant.allows.shell:
        assert answer.forced in {str(command) for command in answer.grant.allows.commands}
    if isinstance(answer, Run) and answer.grant.allows.shell:
        assert answer.forced is None


@given(world=worlds(), other=st.sampled_from([None, host("elsewhere")]))
def test_unknown_and_forbidden_hosts_sound_alike(world: World, other: Host | None) -> None:
    """Who has no grant for a host, past or coming, can't learn whether it exists."""
    asking = world.knock
    if asking.host is not None and any(
        g.user == "alice" and g.covers(asking.host) for g in asking.grants
    ):
        return
    one = may_reach(asking, NOW)
    two = may_reach(replace(asking, host=None), NOW)
    three = may_reach(replace(asking, host=host("elsewhere"), grants=()), NOW)
    assert isinstance(one, Denial)
    assert isinstance(two, Denial)
    assert isinstance(three, Denial)
    assert one.sentence == two.sentence == three.sentence


def test_a_proof_can_not_be_made_outside_its_room() -> None:
    """Not by hand, not from another proof, and what a door shows can't be read off one."""
    one = reached(grant())
    with pytest.raises(TypeError, match="made by its door"):
        Reach(object(), ALICE, host(), "prod-host", (grant(),))
    with pytest.raises(TypeError, match="made by its door"):
        Permit(one, ALICE, host(), "root", (grant(),))
    with pytest.raises(ValueError, match="door"):
        replace(one, host=host("other"))  # type: ignore[call-arg]
    assert not hasattr(one, "door")
    assert copy.copy(one) == one
    with pytest.raises(AttributeError):
        one.host = host("other")  # type: ignore[misc]


def test_a_closed_account_opens_nothing() -> None:
    """Whatever it was granted."""
    shut = replace(ALICE, user=replace(ALICE.user, until=NOW))
    answer = may_reach(knock(grant(), identity=shut), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.USER_CLOSED


@pytest.mark.parametrize("port", [0, 21, 80, 2222, 65535])
def test_only_ssh_ports_are_reached(port: int) -> None:
    """A jump host is not a way to a target's web server; and it sounds like any other refusal."""
    answer = may_reach(knock(grant(), port=port), NOW)
    assert answer == Denial(
        Reason.UNKNOWN_HOST, "you have no access to prod-host; see what you have: ssh bastion"
    )


def test_an_end_is_told() -> None:
    """Whoever had an access hears when it ended, and what to do."""
    answer = may_reach(knock(grant(ends_at=NOW)), NOW)
    assert answer == Denial(Reason.EXPIRED, "G-7 ended at 2026-11-23 12:00 UTC; ask for a new one.")


def test_a_beginning_is_told() -> None:
    """A grant that is to come says more than one that is past."""
    over = grant(6, ends_at=NOW)
    coming = grant(starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
    answer = may_reach(knock(over, coming), NOW)
    assert answer == Denial(Reason.NOT_BEGUN, "G-7 begins at 2026-11-23 13:00 UTC.")


def test_a_revocation_is_told() -> None:
    """With its time."""
    answer = may_reach(knock(replace(grant(), revoked_at=NOW)), NOW)
    assert answer == Denial(Reason.REVOKED, "G-7 was revoked at 2026-11-23 12:00 UTC.")


@pytest.mark.parametrize(
    ("certificates", "said"),
    [
        ((), "no certificate of yours counts for G-7"),
        ((certificate(6),), "no certificate of yours counts for G-7"),
        ((certificate(7, valid_before=NOW),), "ended at 2026-11-23 12:00 UTC"),
        ((replace(certificate(7), revoked_at=NOW),), "was revoked"),
    ],
)
def test_without_a_certificate_it_says_how_to_get_one(
    certificates: tuple[Certificate, ...], said: str
) -> None:
    """No certificate, one for another grant, an old one, a revoked one."""
    answer = may_reach(knock(grant(), certificates=certificates), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.NO_CERTIFICATE
    assert said in answer.sentence
    assert "ssh bastion cert" in answer.sentence


def test_a_login_that_is_not_granted_hears_which_are() -> None:
    """As a line to be typed."""
    answer = may_login(reached(grant(logins={"deploy", "app"})), "root", NOW)
    assert isinstance(answer, Denial)
    assert "ssh -J bastion app@prod-host or ssh -J bastion deploy@prod-host" in answer.sentence


def test_case_counts_in_logins() -> None:
    """Deploy is another account."""
    answer = may_login(reached(grant()), "Deploy", NOW)
    assert isinstance(answer, Denial)


def test_of_several_grants_the_one_that_ends_last_is_used() -> None:
    """A session is not cut while another grant would still carry it."""
    longer = grant(8, ends_at=NOW + 2 * HOUR)
    answer = may_run(admitted(grant(), longer), SHELL_ASK, NOW)
    assert isinstance(answer, Run)
    assert answer.grant == longer


def test_what_is_over_between_two_doors_is_over() -> None:
    """A connection that was kept open asks again for each channel, and hears the end."""
    permit = admitted(grant(ends_at=NOW + SECOND))
    answer = may_run(permit, SHELL_ASK, NOW + SECOND)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.EXPIRED


def test_commands_need_a_known_shell() -> None:
    """Only for those is it certain what a command line means."""
    blind = host(shell_type=None)
    answer = may_run(admitted(grant(allows=UPTIME), at=blind), ask("uptime"), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.SHELL_TYPE
    assert isinstance(may_run(admitted(grant(), at=blind), ask("uptime"), NOW), Run)
    assert isinstance(
        may_run(
            admitted(grant(allows=UPTIME), at=host(shell_type=ShellType.DASH)), ask("uptime"), NOW
        ),
        Run,
    )


@pytest.mark.parametrize(
    "line",
    [b"uptime; id", b"uptime -p", b"UPTIME", b"", b"uptime\0", b"upt\xffime", b"/bin/uptime"],
)
def test_a_command_is_granted_whole(line: bytes) -> None:
    """Not by its beginning, not by its first word; and the person hears what is granted."""
    answer = may_run(admitted(grant(allows=UPTIME)), Ask(Mode.EXEC, line), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.COMMAND
    assert answer.sentence.isprintable()


TEMPLATES = Allows(
    commands=tuple(
        map(
            parse_template,
            ["systemctl restart {nginx,php-fpm}", "tail {path:/var/log}", "{tty} top"],
        )
    )
)


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("systemctl restart nginx", b"systemctl restart nginx"),
        ("systemctl  restart 'php-fpm'", b"systemctl restart php-fpm"),
        ("tail '/var/log/a b'", b"tail '/var/log/a b'"),
        ("top", b"top"),
    ],
)
def test_a_template_lets_its_lines_through(line: str, sent: bytes) -> None:
    """Spelt by us, whatever they were typed like; the target's certificate forces the same."""
    answer = may_run(admitted(grant(allows=TEMPLATES)), ask(line), NOW)
    assert isinstance(answer, Run)
    assert (answer.command, answer.forced, answer.terminal) == (sent, sent.decode(), False)


@pytest.mark.parametrize(
    "line",
    [
        *[
            "systemctl restart",
            "systemctl restart mysql",
            "systemctl stop nginx",
            "tail /etc/passwd",
        ],
        *[
            "systemctl restart '{nginx,php-fpm}'",
            "tail /var/log/../../etc/passwd",
            "top -b",
            "'{tty}' top",
        ],
        *[
            "systemctl restart nginx php-fpm",
            "systemctl restart {nginx,php-fpm}",
            "tail -f /var/log/a",
        ],
    ],
)
def test_what_no_template_lets_through(line: str) -> None:
    """The person hears what is granted, as it is written."""
    answer = may_run(admitted(grant(allows=TEMPLATES)), ask(line), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.COMMAND
    if not line.endswith("{nginx,php-fpm}"):
        assert answer.sentence.endswith(
            "Granted: systemctl restart {nginx,php-fpm}; tail {path:/var/log}; {tty} top"
        )


def on_terminal(line: str) -> Ask:
    """What `ssh -t` asks for."""
    return Ask(Mode.EXEC, line.encode(), terminal=True)


def test_a_terminal_is_for_templates_that_have_it() -> None:
    """By any of them; what is not granted at all is told as that."""
    permit = admitted(grant(allows=TEMPLATES))
    run = may_run(permit, on_terminal("top"), NOW)
    assert isinstance(run, Run)
    assert run.terminal
    refused = may_run(permit, on_terminal("systemctl restart nginx"), NOW)
    assert isinstance(refused, Denial)
    assert refused.reason is Reason.TERMINAL
    assert "Leave -t away" in refused.sentence
    other = may_run(permit, on_terminal("id"), NOW)
    assert isinstance(other, Denial)
    assert other.reason is Reason.COMMAND


def test_a_terminal_comes_from_the_grant_that_has_it() -> None:
    """Also where one that lasts longer gives the same line without."""
    longer = replace(grant(8, allows=UPTIME), ends_at=NOW + 8 * HOUR)
    watched = grant(9, allows=Allows(commands=(parse_template("{tty} uptime"),)))
    with_terminal = may_run(admitted(longer, watched), on_terminal("uptime"), NOW)
    without = may_run(admitted(longer, watched), ask("uptime"), NOW)
    assert isinstance(with_terminal, Run)
    assert isinstance(without, Run)
    assert (with_terminal.grant.id, without.grant.id) == (9, 8)


def test_a_shell_has_its_terminal_in_any_case() -> None:
    """Its connection is one for all of its runs; a forward has none."""
    shell = may_run(admitted(grant()), ask("uptime"), NOW)
    forward = may_run(admitted(grant(allows=DB)), TO_DB, NOW)
    assert isinstance(shell, Run)
    assert isinstance(forward, Run)
    assert (shell.terminal, forward.terminal) == (True, False)


def test_a_command_may_be_quoted_otherwise() -> None:
    """The words count; what is sent is spelt by us."""
    answer = may_run(admitted(grant(allows=UPTIME)), ask(" df  '-h' "), NOW)
    assert isinstance(answer, Run)
    assert answer.command == b"df -h"


def test_no_shell_where_commands_are_granted() -> None:
    """And what is granted is said."""
    answer = may_run(admitted(grant(allows=UPTIME)), SHELL_ASK, NOW)
    assert answer == Denial(Reason.MODE, "a shell is not granted here. Granted: df -h; uptime")


@pytest.mark.parametrize("allows", [SHELL, UPTIME])
def test_subsystems_are_refused(allows: Allows) -> None:
    """sftp is a right of its own, also for who has a shell."""
    answer = may_run(admitted(grant(allows=allows)), Ask(Mode.SUBSYSTEM, b"sftp"), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.FILES


def test_files_are_moved_by_sftp_alone() -> None:
    """The target speaks SFTP and runs nothing, and writes nothing where only reading is granted."""
    reading = Allows(sftp=(parse_files("read:/var/log/**"),))
    asked = Ask(Mode.SUBSYSTEM, b"sftp", terminal=True)
    run = may_run(admitted(grant(allows=reading)), asked, NOW)
    assert isinstance(run, Run)
    assert (run.there, run.command, run.forced) == (Mode.SUBSYSTEM, b"sftp", "internal-sftp -R")
    assert not run.terminal
    both = Allows(sftp=(*reading.sftp, parse_files("write:/srv/*")))
    run = may_run(admitted(grant(allows=both)), asked, NOW)
    assert isinstance(run, Run)
    assert run.forced == "internal-sftp"


@pytest.mark.parametrize("line", ["scp -t /a /b", "internal-sftp", "/usr/lib/openssh/sftp-server"])
def test_files_run_no_command(line: str) -> None:
    """Not one that moves files either: nobody would look at what it says."""
    moving = Allows(sftp=(parse_files("read"), parse_files("write")))
    answer = may_run(admitted(grant(allows=moving)), ask(line), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.COMMAND


@pytest.mark.parametrize(
    ("line", "way"), [("scp -t /srv/x", Direction.WRITE), ("scp -r -f x", Direction.READ)]
)
def test_the_old_scp_is_given_files_and_no_program(line: str, way: Direction) -> None:
    """By the grant that has its direction, however long another lasts."""
    short = grant(7, allows=Allows(sftp=(parse_files("read:/srv/*"),)))
    long = grant(8, allows=Allows(sftp=(parse_files("write:/srv/*"),)))
    long = replace(long, ends_at=long.ends_at + timedelta(minutes=1))
    run = may_run(admitted(short, long), ask(line), NOW)
    assert isinstance(run, Run)
    assert run.scp is not None
    assert {files.direction for files in run.files} == {way}
    assert (run.there, run.command) == (Mode.SUBSYSTEM, b"sftp")


def test_the_old_scp_is_a_program_to_a_template() -> None:
    """Whoever wrote that very line meant it; and a shell runs what it is told."""
    moving = parse_files("read")
    both = Allows(commands=(parse_template("scp -f /srv/x"),), sftp=(moving,))
    for allows in (both, replace(SHELL, sftp=(moving,))):
        run = may_run(admitted(grant(allows=allows)), ask("scp -f /srv/x"), NOW)
        assert isinstance(run, Run)
        assert (run.scp, run.there) == (None, Mode.EXEC)


@pytest.mark.parametrize("line", ["scp -f /srv/*.log", "scp -t x; bash", "scp -f ~eve/x"])
def test_a_path_that_only_a_shell_could_read_is_refused(line: str) -> None:
    """With the way out."""
    moving = Allows(sftp=(parse_files("read"),))
    answer = may_run(admitted(grant(allows=moving)), ask(line), NOW)
    assert isinstance(answer, Denial)
    assert "leave -O away" in answer.sentence


@pytest.mark.parametrize("name", [b"", b"sftp ", b"SFTP", b"netconf"])
def test_no_other_subsystem_is_started(name: bytes) -> None:
    """Of another nobody could say what it does."""
    moving = replace(SHELL, sftp=(parse_files("read"), parse_files("write")))
    answer = may_run(admitted(grant(allows=moving)), Ask(Mode.SUBSYSTEM, name), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.MODE


def test_outside_of_its_hours_it_says_when_they_begin() -> None:
    """The next time, with the hours; and where there is none, that there are none left."""
    later = replace(grant(), window=parse_window("mon", "12:30-13:00", None))
    answer = may_reach(knock(later), NOW)
    assert answer == Denial(
        Reason.NOT_BEGUN, "G-7 begins at 2026-11-23 12:30 UTC (mon 12:30-13:00 UTC)."
    )
    never = replace(grant(), window=parse_window("tue", "09:00-10:00", None))
    answer = may_reach(knock(never), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.EXPIRED
    assert "has no hours left" in answer.sentence


def test_a_revocation_counts_whatever_the_clock_said_then() -> None:
    """A clock that was ahead, and was put right since, gives nothing back."""
    ahead = replace(grant(), revoked_at=NOW + HOUR)
    answer = may_reach(knock(ahead), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.REVOKED
    coming = replace(ahead, window=parse_window("mon", "12:30-13:00", None))
    answer = may_reach(knock(coming), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.REVOKED


@pytest.mark.parametrize("asked", [SHELL_ASK, ask("uptime")])
def test_a_session_goes_by_the_grant_that_keeps_it_longest(asked: Ask) -> None:
    """One that ends later may close sooner, with its hours: then people would be thrown out."""
    plain = replace(grant(7), ends_at=NOW + 2 * HOUR)
    hours = parse_window("mon", "10:00-12:30", None)
    hourly = replace(grant(8), ends_at=NOW + 24 * HOUR, window=hours)
    answer = may_run(admitted(plain, hourly), asked, NOW)
    assert isinstance(answer, Run)
    assert answer.grant == plain


def test_a_grant_for_hardware_keys_takes_one() -> None:
    """The key that signed counts, whichever others are enrolled."""
    answer = may_reach(knock(replace(grant(), hardware=True)), NOW)
    assert isinstance(answer, Denial)
    assert answer.reason is Reason.HARDWARE
    holding = replace(ALICE, key=TOKEN)
    assert isinstance(
        may_reach(knock(replace(grant(), hardware=True), identity=holding), NOW), Reach
    )


def test_a_watched_grant_is_used_where_no_other_will_do() -> None:
    """Even where it lasts longer: whoever needs no watcher does not wait for one."""
    watched = replace(grant(8), watch=True, ends_at=NOW + 8 * HOUR)
    for grants, number in (((watched,), 8), ((watched, grant(7)), 7)):
        answer = may_run(admitted(*grants), SHELL_ASK, NOW)
        assert isinstance(answer, Run)
        assert (answer.grant.id, answer.watched) == (number, number == 8)
    uptime = grant(7, allows=UPTIME)
    for line, number in (("uptime", 7), ("id", 8)):
        answer = may_run(admitted(watched, uptime), ask(line), NOW)
        assert isinstance(answer, Run)
        assert answer.grant.id == number


def test_a_copy_is_watched_where_only_a_watched_grant_has_its_direction() -> None:
    """Another grant that lets files go the other way is of no use for it."""
    reading = grant(7, allows=Allows(sftp=(parse_files("read"),)))
    writing = replace(grant(8, allows=Allows(sftp=(parse_files("write:/tmp/*"),))), watch=True)
    for line, number in (("scp -f /tmp/a", 7), ("scp -t /tmp/a", 8)):
        answer = may_run(admitted(reading, writing), ask(line), NOW)
        assert isinstance(answer, Run)
        assert answer.grant.id == number


def test_sources_are_judged_at_the_first_door() -> None:
    """The sentence says from where it was tried."""
    limited = replace(grant(), sources=(ip_network("192.168.0.0/16"),))
    answer = may_reach(knock(limited), NOW)
    assert answer == Denial(Reason.SOURCE, "G-7 can't be used from 10.1.2.3.")


def test_every_state_but_active_is_shut() -> None:
    """There is no other state in which a door opens."""
    for state in State:
        one = {
            State.SCHEDULED: grant(starts_at=NOW + SECOND),
            State.ACTIVE: grant(),
            State.EXPIRED: grant(ends_at=NOW),
            State.REVOKED: replace(grant(), revoked_at=NOW),
        }[state]
        assert one.state(NOW) is state
        assert isinstance(may_reach(knock(one), NOW), Reach) == (state is State.ACTIVE)
