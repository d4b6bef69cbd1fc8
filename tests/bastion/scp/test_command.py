"""What is `scp -O`'s server side, and what is anything else."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.scp import ScpRun, Way, recognise
from recorder import Direction


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("scp -t /srv/up", ScpRun(Way.SINK, "/srv/up")),
        ("scp -f -- '/a b'", ScpRun(Way.SOURCE, "/a b")),
        ("scp -v -r -p -d -t /srv/up/", ScpRun(Way.SINK, "/srv/up/", True, True, True)),
        ("scp -qrpf /a", ScpRun(Way.SOURCE, "/a", True, True)),
        ("scp -t .", ScpRun(Way.SINK, ".")),
        ("scp -t ''", ScpRun(Way.SINK, ".")),
        ("scp -f a/../b", ScpRun(Way.SOURCE, "a/../b")),
        ("scp -f ~/x", ScpRun(Way.SOURCE, "x")),
        ("scp -f -- ~//'a b'", ScpRun(Way.SOURCE, "a b")),
        ("scp -t ~", ScpRun(Way.SINK, ".")),
        ("scp -t ~/", ScpRun(Way.SINK, ".")),
        ("scp -t '~/x'", ScpRun(Way.SINK, "~/x")),
    ],
)
def test_scp_is_known_by_all_of_its_words(line: str, run: ScpRun) -> None:
    """One of -f and -t, options of the closed set, one whole path; `~/` is from the home."""
    assert recognise(line) == run


@pytest.mark.parametrize(
    "line",
    [
        *("scp", "scp -t", "scp /a", "scp -r /a", "scp -f -t /a", "scp -ft /a", "scp -t /a /b"),
        *("scp -t -- /a /b", "scp -S /tmp/x -t /a", "scp -oProxyCommand=x -t /a", "scp -t -D /a"),
        *("scp -t /a -r", "scp host:/a /b", "/usr/bin/scp -t /a", "scpx -t /a", "SCP -t /a"),
        *("-scp -t /a", "bash -c 'scp -t /a'", "", "scp -t --", "ls; scp -t /a", "scp -t -r"),
    ],
)
def test_anything_else_is_no_scp(line: str) -> None:
    """Never by the name alone: other words, other programs, other options."""
    assert recognise(line) is None


@pytest.mark.parametrize(
    "line",
    [
        *(
            "scp -f /var/log/*.log",
            "scp -f '/a*b'",
            "scp -t ~bob/x",
            "scp -r -t $HOME",
            "scp -t x\n",
        ),
        *("scp -f {/a,/b}", "scp -t /a;id", "scp -t /a`id`", "scp -t x; bash", "scp -f -- /a$(id)"),
    ],
)
def test_what_a_shell_would_expand_is_refused_with_a_way_out(line: str) -> None:
    """The client sends patterns as typed: SFTP does not need a shell for them."""
    with pytest.raises(BadInput, match="leave -O away"):
        recognise(line)


@given(
    st.text(
        st.characters(
            codec="utf-8", exclude_characters="*?[\\!", categories=["L", "N", "P", "Zs", "S"]
        ),
        min_size=1,
    )
)
def test_any_path_is_one_word(path: str) -> None:
    """Whatever a client quotes is the path, and nothing of it is taken for anything else."""
    try:
        run = recognise(f"scp -f -- {shlex.quote(path)}")
    except BadInput:
        return
    assert run == ScpRun(Way.SOURCE, path)
    assert run.direction is Direction.READ
