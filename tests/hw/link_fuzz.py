"""Requests for a host link that must change nothing, made from such that would."""

import random
from collections.abc import Sequence

from weft.hw.link.protocol import (
    IMAGE_BYTES,
    MAX_PAYLOAD,
    SYNC,
    UNKNOWN,
    Command,
    frame,
)


def damaged(rng: random.Random, requests: Sequence[bytes]) -> bytes:
    """One of ``requests``, damaged or in the wrong place; or something else altogether."""
    data = bytearray(rng.choice(requests))
    place = rng.randrange(len(data))
    match rng.randrange(9):
        case 0:
            return rng.randbytes(rng.randrange(1, 60))
        case 1:
            return bytes([SYNC]) + rng.randbytes(rng.randrange(60))
        case 2:
            return bytes(data[:place])
        case 3:
            data[place] ^= 1 << rng.randrange(8)
        case 4:
            data[place] = rng.randrange(256)
        case 5:
            data.insert(place, rng.randrange(256))
        case 6:
            del data[place]
        case 7:
            begin = rng.randrange(len(data))
            data[begin:begin] = data[place : place + rng.randrange(1, 20)]
        case _:
            return wrong(rng)
    return bytes(data)


def wrong(rng: random.Random) -> bytes:
    """A request with a good CRC that asks for what there is not."""
    payload = rng.randbytes(rng.randrange(MAX_PAYLOAD + 1))
    match rng.randrange(4):
        case 0:
            return frame(SYNC, rng.choice([UNKNOWN, rng.randrange(16, 256)]), payload)
        case 1:  # the registers, and memories that do not exist
            whole = payload[: len(payload) // IMAGE_BYTES * IMAGE_BYTES]
            return frame(
                SYNC, Command.IMAGE, bytes([rng.choice([0, 6, 10, 16, 255])]) + whole[:248]
            )
        case 2:
            ragged = payload if len(payload) % IMAGE_BYTES != 1 else payload + b"\0"
            return frame(SYNC, Command.IMAGE, ragged[:MAX_PAYLOAD])
        case _:
            commands = [Command.IDENTIFY, Command.STATUS, Command.START, Command.OUTPUT]
            return frame(SYNC, rng.choice(commands), payload or b"\0")
