"""Holds on the command line, here and over SSH."""

from bastion.app import Services
from recorder import Kind
from tests.cli.desks import Installation, Remote
from tests.cli.recordings import recorded


async def test_a_session_and_a_grant_are_held_and_released(furnished: Installation) -> None:
    """The list says who and why; the log and its end stay."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
    said = furnished("hold", "s-1", "--reason", "INC-42")
    assert said.err == "S-1 is on hold until bastion-admin release S-1.\n"
    furnished("hold", "G-1", "--reason", "audit 2026")
    listed = furnished("holds", "--json").json
    assert [(each["what"], each["by"], each["reason"]) for each in listed] == [
        ("G-1", "os:tester", "audit 2026"),
        ("S-1", "os:tester", "INC-42"),
    ]
    assert "INC-42" in furnished("holds", "S-1").out
    assert "G-1 by os:tester: audit 2026" in furnished("show", "G-1").out
    assert furnished("holds", "G-1", "--json").json == listed[:1]
    assert furnished("release", "S-1", "--reason", "done").err == (
        "The hold of os:tester on S-1 is over.\n"
    )
    assert furnished("holds", "S-1").err == "No holds.\n"
    [ended] = furnished("holds", "S-1", "--all", "--json").json
    assert (ended["released_by"], ended["release_reason"]) == ("os:tester", "done")
    assert "put G-1 of alice on hold" in furnished("audit", "--what", "hold").out


def test_what_cannot_be_held_is_a_sentence(furnished: Installation) -> None:
    """What is not there, what is no session and no grant, and a hold without a reason."""
    assert "There is no session S-9" in furnished("hold", "S-9", "--reason", "x", status=1).err
    assert "There is no grant G-9" in furnished("hold", "G-9", "--reason", "x", status=1).err
    assert "write a session S-31" in furnished("hold", "31", "--reason", "x", status=2).err
    assert "--reason" in furnished("hold", "G-1", status=2).err
    assert "The reason is empty" in furnished("hold", "G-1", "--reason", " ", status=2).err
    assert "G-1 is not on hold" in furnished("release", "G-1", "--reason", "x", status=1).err


def test_an_auditor_holds_over_ssh(services: Services, furnished: Installation) -> None:
    """A reason of several words; whoever releases another's says so."""
    olga = Remote(services, "olga")
    assert "ssh bastion release G-1" in olga.typed("hold G-1 --reason it goes to court").err
    assert olga("holds", "--json").json[0]["reason"] == "it goes to court"
    assert (
        "is not on hold by os:tester" in furnished("release", "G-1", "--reason", "x", status=1).err
    )
    furnished("hold", "G-1", "--reason", "mine")
    said = furnished("release", "G-1", "--of", "olga", "--reason", "olga has left").err
    assert said == "The hold of olga on G-1 is over.\nG-1 is still held by os:tester: mine\n"
