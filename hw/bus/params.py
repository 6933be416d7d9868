"""What a register bus must know of its core, and its side of the registers."""

from dataclasses import dataclass

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.registers import ADDRESS_BITS, HASH_BYTES
from weft.hw.core import CoreParams

BUS_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class BusParams(CoreParams):
    """The core's side of a bus.

    predicted_cycles: of every inference. plan_hash: its first 16 bytes, by which software
    recognises the design.
    """

    predicted_cycles: int
    plan_hash: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.predicted_cycles < 1 << 32:
            raise ValueError(f"predicted_cycles must fit 32 bits, not {self.predicted_cycles!r}")
        if len(self.plan_hash) != HASH_BYTES:
            raise ValueError(f"plan_hash must have {HASH_BYTES} bytes, not {len(self.plan_hash)}")

    @property
    def pieces(self) -> int:
        """Accesses of 4 bytes that a word takes."""
        return -(-self.lanes // BUS_BYTES)

    @property
    def hash_words(self) -> tuple[int, ...]:
        """The plan hash as the registers hold it, the first byte lowest."""
        parts = (self.plan_hash[i : i + BUS_BYTES] for i in range(0, HASH_BYTES, BUS_BYTES))
        return tuple(int.from_bytes(part, "little") for part in parts)


AccessPort = wiring.Signature(
    {
        "request": Out(1),
        "write": Out(1),
        "address": Out(ADDRESS_BITS),
        "w_data": Out(32),
        "partial": Out(1),
        "hold": In(1),
        "refused": In(1),
        "r_data": In(32),
    }
)
"""One access to a register, from a bus.

request: it is there, until a cycle without ``hold`` in which it is carried out.

write: it is a write, not a read.

address: in bytes; the lowest two bits mean nothing.

w_data: what is to be written.

partial: less than its four bytes are.

hold, refused, r_data: the answer, in the same cycle.
"""


class AccessInterface(wiring.PureInterface):
    """The members of ``AccessPort``, by their types."""

    request: Signal
    write: Signal
    address: Signal
    w_data: Signal
    partial: Signal
    hold: Signal
    refused: Signal
    r_data: Signal
