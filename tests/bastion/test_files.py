"""Files as a grant names them: what a pattern means, and what is within what."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.files import Files, normal, parse_files
from recorder import Direction

parts = st.sampled_from(["a", "b", "ab", ".ssh", "*", "?", "a*", "*.log", "**"])
globs = st.lists(parts, min_size=1, max_size=4).map(lambda some: "/" + "/".join(some))
sizes = st.none() | st.integers(0, 1 << 50)
files = st.builds(Files, st.sampled_from(Direction), globs, sizes)
names = st.sampled_from([b"a", b"b", b"ab", b".ssh", b"x.log", b"\xff\n"])
paths = st.lists(names, max_size=5).map(lambda some: b"/" + b"/".join(some))


@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        ("read", b"/etc/passwd", True),
        ("read", b"/", True),
        ("read:/**", b"/a/\xff", True),
        ("read:/var/log", b"/var/log", True),
        ("read:/var/log", b"/var/log/x", False),
        ("read:/var/log/*", b"/var/log/x", True),
        ("read:/var/log/*", b"/var/log/x/y", False),
        ("read:/var/log/**", b"/var/log/x/y", True),
        ("read:/var/log/**", b"/var/log", False),
        ("read:/var/log/**", b"/var/logs/x", False),
        ("read:/a/**/b", b"/a/b", True),
        ("read:/a/**/b", b"/a/x/y/b", True),
        ("read:/a/?", b"/a/\xff", True),
        ("read:/a/?", b"/a/bc", False),
        ("read:/a/*.log", b"/a/x\n.log", True),
        ("read:/a/[b]", b"/a/b", False),
        ("read:/é", "/é".encode(), True),
        ("read:/a/**", b"/a/../etc/passwd", False),
        ("read:/a/**", b"/a//b", False),
        ("read:/a/**", b"/a/b/.", False),
        ("read:/a/**", b"a/b", False),
        ("read:/a/**", b"/a/b\0c", False),
        ("read:/a/**", b"", False),
    ],
)
def test_a_pattern_means_real_paths(text: str, path: bytes, meant: bool) -> None:
    """`*` inside one part, `**` over parts, and nothing that climbs."""
    assert parse_files(text).matches(path) is meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no files"),
        ("delete:/a", "names no files"),
        ("read:", "no absolute path"),
        ("read:a", "no absolute path"),
        ("read:~/a", "'~' is not taken"),
        ("read:/a/../b", "an empty part"),
        ("read:/a//b", "an empty part"),
        ("read:/a/", "an empty part"),
        ("read:/a/**.log", "a part of its own"),
        ("read:/a\nb", "does not show"),
        ("read:/" + "a" * 2000, "at most 1024"),
        ("write,:/a", "no size of a file"),
        ("write,1k:/a", "no size of a file"),
        ("write,-1:/a", "no size of a file"),
        ("write,1.5G", "no size of a file"),
        ("write,٣M", "no size of a file"),
    ],
)
def test_what_means_no_files_is_said(text: str, said: str) -> None:
    """One sentence, with what is wrong."""
    with pytest.raises(BadInput, match=said.replace("*", r"\*")):
        parse_files(text)


@given(files)
def test_written_out_it_is_read_again(given_files: Files) -> None:
    """`str` and `parse_files` are each other's reverse."""
    assert parse_files(str(given_files)) == given_files


@given(files, files, paths)
@example(Files(Direction.READ, "/a"), Files(Direction.READ, "/**"), b"/a")
@example(Files(Direction.READ, "/**"), Files(Direction.READ, "/**"), b"/")
def test_what_is_within_matches_no_more(narrow: Files, wide: Files, path: bytes) -> None:
    """Sound: whatever the narrow one has, the wide one has."""
    if narrow.within(wide):
        assert not narrow.matches(path) or wide.matches(path)


@given(files)
def test_everything_is_around_all_of_its_direction(narrow: Files) -> None:
    """And each pattern is around itself."""
    assert narrow.within(Files(narrow.direction))
    assert narrow.within(narrow) == narrow.within(Files(narrow.direction, narrow.glob))


@given(st.binary(max_size=20))
def test_a_normal_path_has_no_empty_or_climbing_part(path: bytes) -> None:
    """As a path of a real file is."""
    climbing = {b"", b".", b".."} & set(path.split(b"/")[1:])
    rooted = path[:1] == b"/" and b"\0" not in path
    assert normal(path) == (path == b"/" or (rooted and not climbing))


def test_only_what_is_written_out_is_named() -> None:
    """A `.ssh` that only a star could mean is not."""
    assert parse_files("write:/home/*/.ssh/**").named == {"home", ".ssh"}
    assert parse_files("write:/home/**").named == {"home"}


def test_a_hostile_path_takes_no_longer() -> None:
    """Stars upon stars, and a path that almost fits: a pattern by regex would take days."""
    stars = parse_files("read:" + "/**/a" * 20 + "/*a*a*a*a*a*a*b")
    assert not stars.matches(b"/a" * 2000 + b"/" + b"a" * 200)


@pytest.mark.parametrize(
    ("glob", "path", "leads"),
    [
        ("/var/log/**", b"/", True),
        ("/var/log/**", b"/var", True),
        ("/var/log/**", b"/var/log", True),
        ("/var/log/**", b"/var/log/x", True),
        ("/var/log/**", b"/var/lib", False),
        ("/var/log/*", b"/var/log/x", False),
        ("/a/**/b", b"/a/x/y", True),
        ("/a/**/b", b"/x", False),
        ("/a", b"/a", False),
        ("/a/b", b"/a/../a", False),
    ],
)
def test_a_pattern_leads_through_directories(glob: str, path: bytes, leads: bool) -> None:
    """Where one of the files could be below, and nowhere else."""
    assert Files(Direction.READ, glob).leads(path) is leads


@given(files, paths, paths)
def test_what_is_meant_has_been_led_to(some: Files, above: bytes, below: bytes) -> None:
    """Whatever is one of the files, each directory above it leads there."""
    path = above.rstrip(b"/") + below
    if some.matches(path) and path != above:
        assert some.leads(above or b"/")


def test_a_size_is_written_as_people_write_it() -> None:
    """Powers of 1 024, and back in the same words."""
    text = "write,20M:/srv/upload/*"
    assert parse_files(text) == Files(Direction.WRITE, "/srv/upload/*", 20 << 20)
    assert str(parse_files(text)) == text
    assert not Files(Direction.WRITE, "/a").within(parse_files("write,1K"))
    assert parse_files("write,1000:/a").within(parse_files("write,1K"))
