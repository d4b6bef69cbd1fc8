"""TOML files as models: read once, frozen, and every mistake as one sentence with its line.

What the settings and the rules share. It knows neither of them, and opens no file.
"""

import difflib
import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bastion.errors import BadInput, Misconfigured
from bastion.toml_places import Places

_T = TypeVar("_T")
_M = TypeVar("_M", bound="Part")

_SAID = {
    "missing": "is missing, and has to be there",
    "list_type": 'has to be a list: write it as in ["one", "two"]',
    "tuple_type": 'has to be a list: write it as in ["one", "two"]',
    "too_short": "is empty: name at least one, or leave the key out",
    "bool_type": "has to be true or false, without quotes",
}
"""Our words for some of pydantic's errors."""

_LISTS = frozenset({"list_type", "tuple_type"})


class Part(BaseModel):
    """A table of a file: only the keys that it names, and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def text(read: Callable[[str], _T]) -> BeforeValidator:
    """A validator for a text that `read` understands; `read` raises BadInput."""

    def validate(value: object) -> _T:
        if not isinstance(value, str):
            raise ValueError(f"has to be a text between quotes (it is {str(value)[:60]!a})")
        try:
            return read(value)
        except BadInput as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def parse(model: type[_M], content: str, file: str | Path) -> _M:
    """The model that `content` is, which stands in `file`. Raises Misconfigured."""
    try:
        return model.model_validate(tomllib.loads(content))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{file} is not TOML: {str(error)[:200]}.") from None
    except RecursionError:
        raise Misconfigured(f"{file} is not TOML: it is nested too deeply.") from None
    except ValidationError as error:
        worst = min(error.errors(), key=_rank)
        raise Misconfigured(_sentence(model, content, file, worst)) from None


def meant(name: str, known: Collection[str]) -> str:
    """` Do you mean …?` with what of `known` is spelt most like `name`; else an empty text."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f" Do you mean {close[0]}?" if close else ""


def _rank(error: ErrorDetails) -> bool:
    """A misspelt key first: what is said to be missing may be what it meant."""
    return error["type"] != "extra_forbidden"


def _sentence(model: type[Part], content: str, file: str | Path, error: ErrorDetails) -> str:
    path = [str(part) for part in error["loc"] if isinstance(part, str)]
    name, line = ascii(".".join(path)[:120])[1:-1], Places(content).line(error["loc"])
    where = f"{file}, line {line}" if line else str(file)
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        listed = f" Known here: {', '.join(sorted(known))}."
        return f"{where}: '{name}' is not a setting.{meant(path[-1], known) or listed}"
    if error["type"] == "model_type" or (
        error["type"] in _LISTS and _fields_at(model, path)  # a list of tables
    ):
        return f"{where}: {name} {_table(error)}"
    if error["type"] in _SAID:
        return f"{where}: {name} {_SAID[error['type']]}."
    if error["type"] == "too_long":
        return f"{where}: {name} has more than {error['ctx']['max_length']} entries."
    if error["type"] == "value_error":  # one of our own, which shows what may be shown
        said = error["msg"].removeprefix("Value error, ").rstrip(".")
    else:
        said = f"{error['msg']} (it is {str(error['input'])[:60]!a})"
    ended = "" if said.endswith("?") else "."
    return f"{where}: {name}: {said[:1].lower() + said[1:]}{ended}"


def _table(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "model_type" and isinstance(error["loc"][-1], str):
        return f"has to be a table: write [{name}] on a line of its own."
    if len(error["loc"]) == 1:
        return f"has to be a list of tables: write [[{name}]] on a line of its own."
    return "has to be a list of tables, as in [{ … }, { … }]."


def _fields_at(model: type[Part], path: list[str]) -> frozenset[str]:
    """What may be written in the table at `path`."""
    for part in path:
        fields = (field for name, field in model.model_fields.items() if part == _key(name, field))
        inner = next((_inner(field.annotation) for field in fields), None)
        if inner is None:
            return frozenset()
        model = inner
    return frozenset(_key(name, field) for name, field in model.model_fields.items())


def _key(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _inner(annotation: object) -> type[Part] | None:
    """The model that a field is, or that it is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)
