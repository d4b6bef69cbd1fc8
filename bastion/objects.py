"""Objects in an object store or a directory, each made once and never changed.

The only room of obstore. Where the store lets its writer neither change nor delete (a policy, a
lock on objects, a file system that is written once), what lies there is out of reach of who is root
here.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

from bastion.errors import BadInput, Unavailable
from bastion.sinks import Item
from recorder.errors import RecordingMissing, StoreAway
from recorder.objects import Lying

if TYPE_CHECKING:
    import obstore.store

    _Store: TypeAlias = obstore.store.ObjectStore

PATIENCE: Final = "10s"
"""For one request; whoever sends tries again."""

LONG: Final = "60s"
"""For one that carries some megabytes."""

SOON: Final = "20s"
"""For one that carries as much, and that somebody should hear of soon if it can't."""

CHUNK: Final = 256 * 1024
"""Bytes that are read at once."""

_URL = re.compile(r"(?:s3|gs|az)://[A-Za-z0-9._-]+(?:/[A-Za-z0-9._/-]*)?|file:///[ -~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects lie: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, or `file:///DIRECTORY`."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def directory(self) -> Path | None:
        """The directory that it is; None for a store somewhere else."""
        kind, _, path = self.url.partition("://")
        return Path(path) if kind == "file" else None


def parse_bucket(text: str) -> Bucket:
    """Raises BadInput."""
    if _URL.fullmatch(text) is None or ".." in text.split("/"):
        raise BadInput(
            f"{text[:60]!a} is no object store: write s3://BUCKET/PREFIX or file:///DIRECTORY."
        )
    return Bucket(text.rstrip("/"))


class CheckpointSink:
    """Each checkpoint an object of its own: `checkpoint-000000000012-SHA256.json`.

    The store is asked to make it only where there is none. By its name it is the same one then: it
    was made before this process died, or by another that was sent the same. Who writes needs not be
    allowed to read.
    """

    batch = 1

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @property
    def name(self) -> str:
        """By its place."""
        return f"objects {self._bucket}"

    def send(self, items: Sequence[Item]) -> None:
        """They are there when this returns. Raises Unavailable."""
        for item in items:
            self._make(object_name(item.entry.text), item.entry.text + b"\n")

    def close(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nobody is waited for long."""

    def _make(self, name: str, content: bytes) -> None:
        try:
            ObjectStore(self._bucket, PATIENCE, tries=1).make(name, content)
        except StoreAway as error:
            raise Unavailable(f"{error}.") from error


class ObjectStore:
    """The objects of one bucket, as recordings need them (`recorder.objects.Objects`). It blocks.

    Where it is and who we are there comes from the environment, as for any tool of the kind:
    `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, …. `patience` is for one request, which
    is made so many times at most. Raises StoreAway.
    """

    def __init__(self, bucket: Bucket, patience: str = LONG, *, tries: int = 3) -> None:
        self._bucket = bucket
        self._patience = patience
        self._tries = tries
        self._opened: _Store | None = None

    def make(self, name: str, content: bytes) -> bool:
        """Make an object; False where there is one by that name, which stays as it is."""
        import obstore  # noqa: PLC0415
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415

        with _renamed(f"no object gets into {self._bucket}"):
            try:
                obstore.put(self._store(), name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def read(self, name: str) -> Iterator[bytes]:
        """Its content, piece by piece. Raises RecordingMissing."""
        import obstore  # noqa: PLC0415

        with _renamed(f"nothing can be read in {self._bucket}"):
            store = self._store()
            try:
                chunks = iter(obstore.get(store, name).stream(min_chunk_size=CHUNK))
            except FileNotFoundError as error:
                raise RecordingMissing(f"{name} is missing in {self._bucket}") from error
        while True:
            with _renamed(f"nothing can be read in {self._bucket}"):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield bytes(chunk)

    def listed(self, folder: str) -> Iterator[Lying]:
        """All that lie below a folder."""
        import obstore  # noqa: PLC0415

        with _renamed(f"nothing can be listed in {self._bucket}"):
            pages = iter(obstore.list(self._store(), folder))
        while True:
            with _renamed(f"nothing can be listed in {self._bucket}"):
                page = next(pages, None)
            if page is None:
                return
            yield from (Lying(each["path"], each["size"]) for each in page)

    def remove(self, name: str) -> None:
        """Take it away; one that is not there is no matter."""
        import obstore  # noqa: PLC0415

        with (
            _renamed(f"nothing can be taken away from {self._bucket}"),
            suppress(FileNotFoundError),
        ):
            obstore.delete(self._store(), name)

    def _store(self) -> "_Store":
        # It takes longer to load than most commands take, and few need it.
        from obstore.store import from_url  # noqa: PLC0415

        if self._bucket.directory is not None and not self._bucket.directory.is_dir():
            # It would be made anew, where there may be none: what is mounted there is away.
            raise StoreAway(f"there is no {self._bucket}")
        if self._opened is None:
            self._opened = from_url(
                self._bucket.url,
                # Plain HTTP only where the environment names such an endpoint: this is no secret.
                client_options={
                    "timeout": self._patience,
                    "connect_timeout": PATIENCE,
                    "allow_http": True,
                },
                retry_config={"max_retries": self._tries - 1},
            )
        return self._opened


@contextmanager
def _renamed(what: str) -> Iterator[None]:
    """What the library raises, as StoreAway; only the first line, as the rest may name secrets."""
    from obstore.exceptions import BaseError  # noqa: PLC0415

    try:
        yield
    except (BaseError, ValueError, OSError) as error:
        raise StoreAway(f"{what}: {str(error).partition(chr(10))[0]}") from error


def object_name(line: bytes) -> str:
    """What a checkpoint's object is called: by its number, which orders them, and its hash."""
    told = orjson.loads(line)
    return f"checkpoint-{told['checkpoint']:012}-{told['sha256']}.json"
