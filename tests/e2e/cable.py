"""A cable to a server on loopback that can be long, be cut, and mended."""

import socket
import threading
import time
from contextlib import suppress

_MOST = 65536


class Cable:
    """Listens on `port` and carries what comes to the server's port, both ways, until `remove`."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._is_cut = False
        self.takes = 0.0
        """Seconds that all takes on its way, each way."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.ports: set[int] = set()
        """Where the server sees those who come by it."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing goes through any more, and nobody new comes in."""
        with self._lock:
            self._is_cut = True
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Who connects gets through again."""
        self._is_cut = False

    def remove(self) -> None:
        """It is not there any more."""
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._carry(near)

    def _carry(self, near: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                near.close()
                return
            far = socket.create_connection(("127.0.0.1", self._server))
            self.ports.add(far.getsockname()[1])
            self._pairs.append((near, far))
        for ends in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Until one of them has ended; then both have."""
        with suppress(OSError):
            while data := source.recv(_MOST):
                time.sleep(self.takes)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
