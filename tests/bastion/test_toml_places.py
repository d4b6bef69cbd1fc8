"""Where values stand in a TOML text: the same paths that tomllib reads, each with its line."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.toml_places import Path, Places

TEXT = '''\
top = 1 # [not.a.table]
"quoted key" = """
[[rule]]
name = "inside a text"
"""
"a.b".c = 'x = [1'

[limits]
at = 2026-11-23 10:00:00
share = 1.5

[[rule]]
name = "first" # ]
hosts = [
  "web-1",  # , and a comma

  "web-2", ["deep"],
]

[[rule]]
approvals = [{ from = ["@leads"], count = 1 }, { from = [
  "bob" ] }]
[[rule.more]]
x = 1
[[rule.more]]
y = """a""""
[rule.one]
z.z = ""
'''


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every key and element in what was read."""
    parts: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for key, part in parts:
        yield (*path, key)
        yield from paths(part, (*path, key))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 1),
        (("quoted key",), 2),
        (("a.b", "c"), 6),
        (("limits", "at"), 9),
        (("limits", "nothing"), 8),
        (("nothing",), None),
        (("rule",), 12),
        (("rule", 0), 12),
        (("rule", 0, "hosts"), 14),
        (("rule", 0, "hosts", 0), 15),
        (("rule", 0, "hosts", 2, 0), 17),
        (("rule", 1), 20),
        (("rule", 1, "name"), 20),
        (("rule", 1, "approvals", 1), 21),
        (("rule", 1, "approvals", 1, "from", 0), 22),
        (("rule", 1, "more", 1, "y"), 26),
        (("rule", 1, "one", "z", "z"), 28),
    ],
)
def test_lines(path: Path, line: int | None) -> None:
    """What is missing is looked for where it would stand."""
    assert Places(TEXT).line(path) == line


def test_every_path_is_found() -> None:
    """Those of a text with everything in it, as tomllib reads them."""
    places = Places(TEXT)
    assert [path for path in paths(tomllib.loads(TEXT)) if path not in places] == []


names = st.sampled_from(["a", "b-1", '"c.d"', "'e f'", '"\\u0041"'])
scalars = st.sampled_from(
    ["1", "-2.5", "true", '"x # y"', "'[['", "1979-05-27T07:32:00Z", '"""\n="""']
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: "[\n" + " ,\n".join(parts) + " # ]\n]")
        | st.dictionaries(names, inner, max_size=3).map(
            lambda parts: "{" + ", ".join(f"{key} = {part}" for key, part in parts.items()) + "}"
        )
    ),
    max_leaves=8,
)
statements = st.one_of(
    st.builds("{} = {}".format, names, values),
    st.builds("{}.{} = {}".format, names, names, values),
    st.builds("[{}]".format, names),
    st.builds("[[{}]]".format, names),
    st.builds("[{} . {}]".format, names, names),
    st.builds("[[{}.{}]]".format, names, names),
    st.just("# a = 1"),
    st.just(""),
)


@given(lines=st.lists(statements, max_size=12))
def test_the_paths_are_those_that_tomllib_reads(lines: list[str]) -> None:
    """Whatever valid text it is; and each line is one of the text's."""
    text = "\n".join(lines)
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    places = Places(text)
    for path in paths(read):
        assert path in places
        line = places.line(path)
        assert line is not None
        assert 1 <= line <= text.count("\n") + 1
