"""Objects: small texts in an object store or a directory, each made once and never changed.

The only room of obstore. Where the store lets its writer neither change nor delete (a policy, a
lock on objects, a file system that is written once), what lies there is out of reach of who is root
here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from bastion.errors import BadInput, Unavailable
from bastion.sinks import Item

PATIENCE: Final = "10s"
"""For one request; whoever sends tries again."""

_URL = re.compile(r"(?:s3|gs|az)://[A-Za-z0-9._-]+(?:/[A-Za-z0-9._/-]*)?|file:///[ -~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects lie: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, or `file:///DIRECTORY`."""

    url: str

    def __str__(self) -> str:
        return self.url


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
        # It takes longer to load than most commands take, and few need it.
        import obstore  # noqa: PLC0415
        from obstore.exceptions import AlreadyExistsError, BaseError  # noqa: PLC0415
        from obstore.store import from_url  # noqa: PLC0415

        try:
            store = from_url(
                self._bucket.url,
                # Plain HTTP only where the environment names such an endpoint: this is no secret.
                client_options={
                    "timeout": PATIENCE,
                    "connect_timeout": PATIENCE,
                    "allow_http": True,
                },
                retry_config={"max_retries": 0},
            )
            obstore.put(store, name, content, mode="create")
        except AlreadyExistsError:
            return
        except (BaseError, ValueError, OSError) as error:
            said = str(error).partition("\n")[0]
            raise Unavailable(f"{self._bucket} takes no object: {said}.") from error


def object_name(line: bytes) -> str:
    """What a checkpoint's object is called: by its number, which orders them, and its hash."""
    told = orjson.loads(line)
    return f"checkpoint-{told['checkpoint']:012}-{told['sha256']}.json"
