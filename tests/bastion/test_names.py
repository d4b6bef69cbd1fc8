"""Names: one strict pattern before anything else sees them."""

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion import names
from bastion.errors import BadInput

SAFE = re.compile(r"[A-Za-z0-9._*?-]+")
READERS = [
    names.user_name,
    names.group_name,
    names.host_name,
    names.host_pattern,
    names.login_name,
]

anything = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=string.ascii_letters + string.digits + "._-*?/ $`'\"\\\n\x1b", max_size=80),
)


@pytest.mark.parametrize("read", READERS)
@given(text=anything)
def test_what_is_accepted_is_harmless_anywhere(read: Callable[[str], str], text: str) -> None:
    """No name is ever a path, an option, a shell word or a terminal escape."""
    try:
        name = read(text)
    except BadInput as error:
        said = str(error)
        assert said.isprintable()
        return
    assert SAFE.fullmatch(name)
    assert ".." not in name
    assert not name.startswith(("-", "."))
    assert read(name) == name


@pytest.mark.parametrize("read", [names.user_name, names.group_name, names.host_name])
@given(text=st.text(alphabet=string.ascii_letters + string.digits, min_size=1, max_size=30))
def test_case_does_not_matter(read: Callable[[str], str], text: str) -> None:
    """Alice and alice are one person, Web-1 and web-1 one host."""
    assert read(f"x{text}") == read(f"X{text.upper()}") == f"x{text.lower()}"


def test_a_login_keeps_its_case() -> None:
    """Logins belong to the target, where Deploy and deploy may be two accounts."""
    assert names.login_name("Deploy") == "Deploy"


@pytest.mark.parametrize("name", ["c-31", "G-7", "r-1", "root", "Bastion", "nobody"])
def test_a_user_is_not_called_like_something_else(name: str) -> None:
    """A certificate has `C-<serial>` beside the user's name: one can't pass for the other."""
    with pytest.raises(BadInput, match="reads as something else"):
        names.user_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *["", ".", "..", "a..b", "-a", "a/b", "a b", "a\n", "\u212aate", "m\u00fcller", "a" * 64],
        *["a@b", "a;b", "$a", "a\0", "'", "a,b", "a:b", "*"],
    ],
)
def test_user_names_that_are_refused(name: str) -> None:
    """The sentence shows the name escaped, and says what would do."""
    with pytest.raises(BadInput, match="can't be a user name: use letters"):
        names.user_name(name)


@pytest.mark.parametrize("name", ["web-1", "10.0.0.1", "a.b.example", "Web-1.Example.", "x_y"])
def test_host_names_that_are_taken(name: str) -> None:
    """DNS names, IPv4 addresses; a name with its final dot is the same name."""
    assert names.host_name(name) == name.lower().removesuffix(".")


@pytest.mark.parametrize("name", ["web-*", "a..", ".a", "[::1]", "::1", "a" * 64, "b." * 130])
def test_host_names_that_are_refused(name: str) -> None:
    """A pattern is no name; nor is what DNS would not take."""
    with pytest.raises(BadInput, match="host name"):
        names.host_name(name)


def test_labels_are_taken_apart() -> None:
    """The key ignores case, the value keeps it, and both are plain."""
    assert names.label("Env=Prod") == ("env", "Prod")
    for wrong in ("env", "=prod", "env=", "env=a b", "e nv=a", "env=a=b"):
        with pytest.raises(BadInput, match="label"):
            names.label(wrong)


@pytest.mark.parametrize("text", ["see ticket 7", "  trimmed  ", "mit Umlauten: übergröße", "日本"])
def test_free_text_is_one_line(text: str) -> None:
    """A reason is kept as it is, without blanks around it."""
    assert names.free_text(text, "reason") == text.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a\nb", "control characters"),
        ("\x1b[2J", "control characters"),
        ("a\u202eb", "control characters"),
        ("a\u2028b", "control characters"),
        ("x" * 501, "501 characters; at most 500"),
    ],
)
def test_free_text_that_would_not_print_safely(text: str, said: str) -> None:
    """Escapes, line ends and changes of direction are refused, and so is a novel."""
    with pytest.raises(BadInput, match=said):
        names.free_text(text, "reason")


@given(number=st.integers(0, 10**15 - 1))
def test_ids_are_read_as_they_are_written(number: int) -> None:
    """G-7, g-7 and 7 are one grant."""
    assert {names.numbered("G", text) for text in (f"G-{number}", f"g-{number}", str(number))} == {
        number
    }


@pytest.mark.parametrize("text", ["", "G-", "S-7", "G-7x", "-7", "G--7", "7.0", "٧", "9" * 16])
def test_what_is_no_id(text: str) -> None:
    """Another letter's number is refused: S-7 is no grant."""
    with pytest.raises(BadInput, match="write it as in G-7"):
        names.numbered("G", text)
