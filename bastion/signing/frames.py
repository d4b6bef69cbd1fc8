"""What goes over the socket: a length of four bytes, then so much JSON. Nothing else is taken.

A request gets one answer before the next is read. Each side reads by a model that knows every key,
its type and its length; whatever does not fit is no frame, and the connection is over.
"""

import binascii
import json
from base64 import b64decode, b64encode
from typing import Annotated, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from bastion.authority import Which
from bastion.authority.keyfiles import CAS

_T = TypeVar("_T")

LONGEST: Final = 64 * 1024
"""Bytes of a frame, without its length."""

HEAD: Final = 4

LONGEST_BODY: Final = 40 * 1024
"""Bytes of what is to be signed."""


def _ca(which: Which) -> Which:
    if which not in CAS:
        raise ValueError("no CA's key")
    return which


def _decoded(value: object) -> object:
    if isinstance(value, bytes):
        return value
    try:
        return b64decode(value, validate=True) if isinstance(value, str) else None
    except binascii.Error as error:
        raise ValueError("not base64") from error


Ca = Annotated[Which, AfterValidator(_ca)]
Line = Annotated[str, Field(max_length=32 * 1024)]
Bytes = Annotated[
    bytes,
    Field(strict=True, max_length=LONGEST_BODY),
    BeforeValidator(_decoded),
    PlainSerializer(lambda data: b64encode(data).decode()),
]


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sign(_Frame):
    """A signature is wanted: over `body`, by the key of `ca` that has this fingerprint."""

    ask: Literal["sign"] = "sign"
    ca: Ca
    key: Annotated[str, Field(min_length=8, max_length=64)]
    body: Bytes


class Keys(_Frame):
    """The public halves are wanted."""

    ask: Literal["keys"] = "keys"


class Log(_Frame):
    """The lines of the book that follow the line `after` are wanted, as many as fit."""

    ask: Literal["log"] = "log"
    after: Annotated[int, Field(strict=True, ge=0, lt=2**53)]


Request = Annotated[Sign | Keys | Log, Field(discriminator="ask")]


class Signature(_Frame):
    """As `Signer.sign` gives it."""

    answer: Literal["signature"] = "signature"
    signature: Bytes


class No(_Frame):
    """It is not done, and why. `next` is a serial that would do, where that was the reason."""

    answer: Literal["no"] = "no"
    why: Annotated[str, Field(max_length=1000)]
    next: Annotated[int | None, Field(strict=True, ge=1, lt=2**62)] = None


class OfCa(_Frame):
    """Of one CA: lines of `.pub` files, the present one first; the retired ones, oldest first."""

    live: Annotated[tuple[Line, ...], Field(min_length=1, max_length=2)]
    retired: Annotated[tuple[Line, ...], Field(max_length=100)] = ()


class Public(_Frame):
    """The public halves."""

    answer: Literal["keys"] = "keys"
    cas: dict[Ca, OfCa]


class Lines(_Frame):
    """Lines of the book as they stand there; the last of all is the line `newest`."""

    answer: Literal["log"] = "log"
    lines: Annotated[tuple[Line, ...], Field(max_length=1000)]
    newest: Annotated[int, Field(strict=True, ge=0)]


Answer = Annotated[Signature | No | Public | Lines, Field(discriminator="answer")]

_REQUESTS: Final[TypeAdapter[Sign | Keys | Log]] = TypeAdapter(Request)
_ANSWERS: Final[TypeAdapter[Signature | No | Public | Lines]] = TypeAdapter(Answer)


def framed(frame: BaseModel) -> bytes:
    """A frame as it goes over the socket."""
    data = json.dumps(frame.model_dump(mode="json"), separators=(",", ":")).encode()
    if len(data) > LONGEST:
        raise ValueError("a frame is longer than one may be")
    return len(data).to_bytes(HEAD) + data


def length(head: bytes) -> int:
    """How long the frame is that begins with this. Raises ValueError for one that is none."""
    found = int.from_bytes(head)
    if not 0 < found <= LONGEST:
        raise ValueError(f"a frame of {found} bytes")
    return found


def read_request(data: bytes) -> Sign | Keys | Log:
    """A request without its length. Raises ValueError."""
    return _read(_REQUESTS, data)


def read_answer(data: bytes) -> Signature | No | Public | Lines:
    """An answer without its length. Raises ValueError."""
    return _read(_ANSWERS, data)


def _read(model: TypeAdapter[_T], data: bytes) -> _T:
    try:
        return model.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"no frame: {first['type']}") from None
