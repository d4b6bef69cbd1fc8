"""What a process that serves says of itself: lines on stderr, and its state to systemd."""

import logging
import os
import socket
import sys
import time


def notify(state: str) -> None:
    """Tell systemd, where it asked to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notice:
            notice.connect(address)
            notice.send(state.encode())
    except OSError as error:
        logging.getLogger(__name__).warning("systemd could not be told %s: %s", state, error)


def log_to_stderr(name: str = "") -> None:
    """Times in UTC, save where the journal adds its own; `name` is which of several it is."""
    form = "%(levelname)s %(name)s: %(message)s"
    if name:
        form = f"{name} {form}"
    if "JOURNAL_STREAM" not in os.environ:
        form = f"%(asctime)s {form}"
    formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
