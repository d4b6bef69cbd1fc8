"""A real S3 server of the tests' own: Ceph's RADOS gateway on loopback, its objects in memory.

`TEST_S3=ceph` starts it; Debian's `radosgw ceph-mon ceph-osd ceph-common` have to be there. It
takes a quarter of a minute. `TEST_S3=s3://BUCKET/PREFIX` takes another server instead.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

import httpx
import obstore
from obstore.store import S3Store

KEY, SECRET = "AKTESTS", "s3cret-of-the-tests"
PATIENCE: Final = 60.0

_CONF = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 8
osd pool default pgp num = 8
mon allow pool size one = true
mon data avail crit = 1
mon warn on pool no redundancy = false
run dir = {place}/run
admin socket = {place}/run/$name.asok
log file = {place}/log/$name.log
pid file = {place}/run/$name.pid
mon data = {place}/mon
osd data = {place}/osd0
osd journal = {place}/osd0/journal
osd objectstore = memstore
memstore device bytes = 1073741824
osd max object name len = 256
osd max object namespace len = 64
rgw data = {place}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw dns name = 127.0.0.1
rgw enable usage log = false
[client.admin]
keyring = {place}/keyring
[osd]
keyring = {place}/osd0/keyring
[client.rgw.a]
keyring = {place}/rgw/keyring
"""


class Gateway:
    """A monitor, one OSD and the gateway, in a directory of their own."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._conf = place / "ceph.conf"
        self.port = _free_port()

    def start(self) -> None:
        """Begin, and wait until it answers."""
        for name in ("mon", "osd0", "run", "log", "rgw"):
            (self._place / name).mkdir()
        fsid, v2, v1 = str(uuid.uuid4()), _free_port(), _free_port()
        self._conf.write_text(
            _CONF.format(fsid=fsid, place=self._place, port=self.port, v2=v2, v1=v1)
        )
        monmap, keyring = str(self._place / "monmap"), str(self._place / "keyring")
        where = f"[v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", where, monmap)
        all_of = [("--cap", what, "allow *") for what in ("mon", "osd", "mds")]
        new = ("ceph-authtool", keyring, "--gen-key", "-n")
        self._run(*new, "mon.", "--create-keyring", *all_of[0])
        self._run(*new, "client.admin", *chain.from_iterable(all_of))
        mon = ("-i", "a", "--monmap", monmap, "--keyring", keyring)
        self._ceph("ceph-mon", "--mkfs", *mon)
        self._ceph("ceph-mon", "-i", "a")
        self._ceph("ceph", "--connect-timeout", "20", "osd", "create")
        self._keyring("osd.0", "osd0", "mon", "allow profile osd", "osd", "allow *")
        self._ceph("ceph-osd", "-i", "0", "--mkfs")
        self._ceph("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        self._ceph("ceph-osd", "-i", "0")
        self._keyring("client.rgw.a", "rgw", "mon", "allow rw", "osd", "allow rwx")
        self._ceph("radosgw", "-n", "client.rgw.a")
        self._until_it_answers()
        keys = (f"--access-key={KEY}", f"--secret-key={SECRET}")
        self._ceph("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests", *keys)

    def stop(self) -> None:
        """End all of it."""
        for file in (self._place / "run").glob("*.pid"):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)

    def _keyring(self, who: str, folder: str, *caps: str) -> None:
        file = str(self._place / folder / "keyring")
        self._ceph("ceph", "auth", "get-or-create", who, *caps, "-o", file)

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < deadline, "the gateway does not answer"
            time.sleep(0.1)

    def _ceph(self, program: str, *words: str) -> None:
        self._run(program, "-c", str(self._conf), *words)

    def _run(self, *words: str) -> None:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr[-1000:]}"


@cache
def url() -> str:
    """What `TEST_S3` names, its bucket made where it is missing; empty where it names nothing.

    Who we are there is in the environment, as for any tool of Amazon's.
    """
    named = os.environ.get("TEST_S3", "")
    if named == "ceph":
        named = _started()
    if named:
        bucket = "/".join(named.split("/")[:3])
        store = S3Store.from_url(bucket, client_options={"allow_http": True})
        made = httpx.put(obstore.sign(store, "PUT", "", timedelta(minutes=1)), trust_env=False)
        assert made.status_code in (200, 409), made.text
    return named


def _started() -> str:
    """A gateway that runs until this process ends."""
    place = Path(tempfile.mkdtemp(prefix="ceph-"))
    made = Gateway(place)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    atexit.register(made.stop)
    made.start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{made.port}"
    os.environ["AWS_REGION"] = "default"
    os.environ["AWS_ACCESS_KEY_ID"] = KEY
    os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET
    return "s3://tests/bastion"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
