"""The host's end of the host link, on a serial port."""

import errno
import os
import time
from types import TracebackType

import serial

from weft.boards.top import BAUD
from weft.errors import ToolError
from weft.hw.link.protocol import (
    CRC_BYTES,
    REPLY_SYNC,
    Command,
    Error,
    frame,
    request,
)

HEAD_BYTES = 3
MEANING: dict[int, str] = {
    Error.CHECKSUM: "the request arrived damaged",
    Error.INCOMPLETE: "the request stopped in the middle",
    Error.COMMAND: "it does not know this request",
    Error.LENGTH: "the request has the wrong length",
    Error.ADDRESS: "an address is outside the memory",
    Error.STATE: "it is not the time for this request",
}


class LinkError(ToolError):
    """A board that does not answer, or not as it should; ``error`` is the code it gave, if any."""

    def __init__(self, message: str, error: int = Error.NONE):
        super().__init__(message)
        self.error = error


class SerialLink:
    """Requests and replies over a serial port, one at a time.

    Parameters: ``port``, its name (or pyserial's URL); ``baud``; ``timeout``, seconds that a reply
    may take. All methods raise LinkError.
    """

    def __init__(self, port: str, *, baud: int = BAUD, timeout: float = 2.0):
        self.port = port
        try:
            # Nobody else may read from it meanwhile.
            self._serial = serial.serial_for_url(
                port, baud, timeout=timeout, write_timeout=timeout, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise LinkError(f"port {port} cannot be opened: {_reason(error)}") from error

    def __enter__(self) -> "SerialLink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    def ask(self, command: Command, payload: bytes = b"", *, n_bytes: int | None = 0) -> bytes:
        """The payload of the board's reply to a request, which must have ``n_bytes``.

        None: any number; the caller has to look.
        """
        name = command.name
        self._expect_silence(name)
        self.send(request(command, payload))
        head = self.take(HEAD_BYTES, name)
        if head[:1] != bytes([REPLY_SYNC]):  # its length means nothing
            raise self._damaged(name)
        rest = self.take(head[2] + CRC_BYTES, name)
        code, body = head[1], rest[:-CRC_BYTES]
        if head + rest != frame(REPLY_SYNC, code, body):
            raise self._damaged(name)
        if code >> 4:
            number = code >> 4
            unknown = f"error {number}, which this weft does not know"
            reason = MEANING.get(number, unknown)
            raise LinkError(f"port {self.port}: the board refused {name}: {reason}", number)
        if code != command:
            raise LinkError(f"port {self.port}: the reply to {name} is one to another request")
        if n_bytes is not None and len(body) != n_bytes:
            raise self.wrong(name, f"has {len(body)} bytes of payload, not {n_bytes}")
        return body

    def wrong(self, name: str, what: str) -> LinkError:
        """The error about a reply that came whole, but cannot be one of this build's board."""
        return LinkError(
            f"port {self.port}: the reply to {name} {what}; is another program or another design "
            "at the port's end?"
        )

    def _damaged(self, name: str) -> LinkError:
        return LinkError(
            f"port {self.port}: the reply to {name} is damaged; check the cable and --baud"
        )

    def _expect_silence(self, name: str) -> None:
        """What came before the request would be taken for its reply."""
        try:
            early = self._serial.in_waiting
        except OSError as error:
            raise self._lost(error) from error
        if early:
            raise LinkError(
                f"port {self.port}: the board sent {early} bytes that nobody asked for before "
                f"{name}; check the cable and --baud"
            )

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise self._lost(error) from error

    def drain(self, seconds: float) -> bytes:
        """Wait, and take whatever came: after it, the board expects the start of a request."""
        time.sleep(seconds)
        try:
            return self._serial.read(self._serial.in_waiting)
        except OSError as error:
            raise self._lost(error) from error

    def take(self, n_bytes: int, name: str) -> bytes:
        """So many bytes of the reply to what ``name`` says."""
        try:
            data = self._serial.read(n_bytes)
        except OSError as error:
            raise self._lost(error) from error
        if len(data) < n_bytes:
            raise LinkError(
                f"port {self.port}: no reply to {name} within {self._serial.timeout:g} s; is it "
                "the right port, has the board the bitstream of this build, does --baud fit?"
            )
        return data

    def _lost(self, error: OSError) -> LinkError:
        return LinkError(f"port {self.port} was lost: {_reason(error)}; is the cable in?")


def _reason(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EAGAIN:  # of the exclusive lock
        return "another program has it open"
    return os.strerror(code) if code else str(error)
