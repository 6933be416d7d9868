"""What both ends of the host link agree on; ``docs/link.md`` has it in words and bytes.

A request is SYNC, command, length, payload, CRC-32; a reply REPLY_SYNC, code, length, payload,
CRC-32. The length counts the payload's bytes; the CRC covers command or code, length and payload,
and travels low byte first.
"""

import enum
import struct
import zlib
from dataclasses import dataclass

VERSION = 2
"""Of the protocol. In all versions IDENTIFY is command 0, and its reply begins with this number."""

SYNC, REPLY_SYNC = 0x57, 0x77  # "W" there, "w" back: an echo is no reply
MAX_PAYLOAD = 255
CRC_BYTES = 4
IMAGE_BYTES = 8
"""One image write: 36 bits of data in 5 bytes, 24 bits of address in 3, low bytes first."""

IMAGE_WRITES = (MAX_PAYLOAD - 1) // IMAGE_BYTES
"""Image writes in a request at most; the number of their memory comes before them."""

HASH_BYTES = 15
IDENTIFY_BYTES = 1 + HASH_BYTES
STATUS_BYTES = 5


class Command(enum.IntEnum):
    """What a request asks for."""

    IDENTIFY = 0
    STATUS = 1
    RESET = 2
    INPUT = 3
    START = 4
    OUTPUT = 5
    IMAGE = 6


UNKNOWN = 7
"""What a reply names as its command if there is no such command."""

COMMAND_BITS = 3


class Error(enum.IntEnum):
    """Why a request was refused: the upper half of a reply's code."""

    NONE = 0
    CHECKSUM = 1
    INCOMPLETE = 2
    COMMAND = 3
    LENGTH = 4
    ADDRESS = 5
    STATE = 6


@dataclass(frozen=True, kw_only=True)
class Frames:
    """How ``n_words`` words of ``lanes`` bytes travel: in full frames and one with the rest."""

    lanes: int
    n_words: int

    @property
    def full_bytes(self) -> int:
        """Payload of every frame but the last: as many whole words as fit."""
        return MAX_PAYLOAD // self.lanes * self.lanes

    @property
    def count(self) -> int:
        return -(-self.n_words * self.lanes // self.full_bytes)

    @property
    def last_bytes(self) -> int:
        """Payload of the last frame."""
        return self.n_words * self.lanes - (self.count - 1) * self.full_bytes


def request(command: int, payload: bytes = b"") -> bytes:
    """A request's bytes."""
    return frame(SYNC, command, payload)


def reply(command: int, payload: bytes = b"", error: int = Error.NONE) -> bytes:
    """A reply's bytes."""
    known = command if command in tuple(Command) else UNKNOWN
    return frame(REPLY_SYNC, error << 4 | known, payload)


def frame(sync: int, code: int, payload: bytes) -> bytes:
    """The bytes of a request or a reply."""
    body = bytes([code, len(payload)]) + payload
    return bytes([sync]) + body + struct.pack("<I", zlib.crc32(body))
