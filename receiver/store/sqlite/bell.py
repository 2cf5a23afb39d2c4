"""Wakes workers in other processes: a datagram to each, instead of looking often."""

import contextlib
import os
import select
import socket
import time
from pathlib import Path

_LOOK_ANYWAY = 0.1


class Bell:
    """A folder of datagram sockets, one for each process that waits.

    Where sockets cannot be had, `wait` returns after a tenth of a second instead.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # A socket's path is limited to 107 bytes; through the descriptor it is always short.
        through = f"/proc/self/fd/{self._folder}"
        self._path = through if os.path.isdir(through) else str(folder)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._ear: socket.socket | None = None
        self._name = f"{os.getpid()}-{id(self):x}"

    def ring(self) -> None:
        """Wake everyone who waits."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            # No descriptor is left. What is stored is stored, and workers look by themselves now and then.
            return
        for name in names:
            try:
                self._sender.sendto(b"!", f"{self._path}/{name}")
            except ConnectionRefusedError:
                # Left behind by a process that was killed.
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
            except OSError:
                continue

    def ring_here(self) -> None:
        """Wake who waits in this process."""
        if self._ear is not None:
            with contextlib.suppress(OSError):
                self._sender.sendto(b"!", f"{self._path}/{self._name}")

    def wait(self, timeout: float) -> None:
        """Sleep until someone rings, at most `timeout` seconds. Rings since the last wait count."""
        if self._ear is None:
            self._listen()
        if self._ear is None:
            time.sleep(min(timeout, _LOOK_ANYWAY))
            return
        select.select([self._ear], [], [], max(timeout, 0))
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(1):
                pass

    def close(self) -> None:
        """Stop listening."""
        self._sender.close()
        if self._ear is not None:
            self._ear.close()
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)

    def _listen(self) -> None:
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.setblocking(False)
        try:
            ear.bind(f"{self._path}/{self._name}")
        except OSError:
            ear.close()
        else:
            self._ear = ear
