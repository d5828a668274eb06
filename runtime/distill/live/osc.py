"""Control by Open Sound Control (OSC 1.0) over UDP, from this machine only.

    /slider/NAME VALUE    /weight/NAME VALUE    /wander VALUE    /preset NAME    /seed NUMBER

The name may also come first among the arguments: /slider NAME VALUE. An address may begin with /distill.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from distill.errors import DistillError, FileError, InvalidValue, MissingExtra

from .changes import Change, change_of
from .controls import Controls
from .lines import Tell

HOST = "127.0.0.1"  # OSC knows no passwords: nobody but this machine may turn the knobs
_LARGEST = 1 << 16  # bytes of a datagram


class OscListener:
    """Obeys OSC messages in a thread of its own, from `with` to its end. `port` is the one in use."""

    def __init__(self, port: int, controls: Controls, tell: Tell) -> None:
        """port: 0 takes a free one. Raises MissingExtra without python-osc, FileError where the port is taken."""
        try:
            import pythonosc.osc_packet  # noqa: F401
        except ImportError:
            raise MissingExtra("python-osc", "osc") from None
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535:
            raise InvalidValue(f"OSC port is {port!r}; it must be a whole number from 0 to 65535")
        self._controls, self._tell = controls, tell
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            self._socket.close()
            raise FileError(f"OSC port {port}: cannot be listened on ({error.strerror})") from None
        self.port: int = self._socket.getsockname()[1]
        self._ending = False
        self._thread = threading.Thread(target=self._follow, name="distill-osc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        if self._ending:
            return
        self._ending = True
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            knock.sendto(b"", (HOST, self.port))  # a thread that waits for a datagram does not see a closed socket
        self._thread.join(timeout=2)
        self._socket.close()

    def __enter__(self) -> OscListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> None:
        while not self._ending:
            try:
                data, _ = self._socket.recvfrom(_LARGEST)
            except OSError:
                return
            if self._ending:
                return
            try:
                self._controls.change([change for address, arguments in messages(data)
                                       for change in [change_of_message(address, arguments)]])
            except DistillError as error:
                self._tell(str(error))


def messages(datagram: bytes) -> Iterator[tuple[str, Sequence[Any]]]:
    """A datagram -> the addresses and arguments of its messages, bundles unpacked. Raises InvalidValue."""
    from pythonosc.osc_packet import OscPacket

    try:
        found = [(timed.message.address, list(timed.message.params)) for timed in OscPacket(datagram).messages]
    except Exception as error:  # anyone may send anything, and the parser raises many kinds
        raise InvalidValue(f"OSC: a datagram of {len(datagram)} bytes is no OSC packet ({error})") from None
    yield from found


def change_of_message(address: str, arguments: Sequence[Any]) -> Change:
    """An OSC message as a change. Raises InvalidValue."""
    word, *name = [unquote(part) for part in address.strip("/").removeprefix("distill/").split("/")]
    return change_of(word, [*name, *arguments])
