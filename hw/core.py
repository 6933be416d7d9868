"""What a host link or a bus must know of its core, and the ports between the two."""

from dataclasses import dataclass
from typing import Any

from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from weft.hw.host import IMAGE_WRITE
from weft.machine.engine import bits_for
from weft.machine.images import WORD_BITS
from weft.machine.memory_map import MAX_MEMORIES


@dataclass(frozen=True, kw_only=True)
class CoreParams:
    """The core, seen from its host.

    lanes: bytes per word. n_in, n_out: words per inference. image_limits: for the number of each
    memory, the first address within it that is too large (0: nothing may be written); all 0 for a
    fixed network.
    """

    lanes: int
    n_in: int
    n_out: int
    image_limits: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("lanes", "n_in", "n_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)!r}")
        most, highest = 1 + MAX_MEMORIES, 1 << WORD_BITS
        limits = self.image_limits
        if not 1 <= len(limits) <= most or not all(0 <= limit <= highest for limit in limits):
            raise ValueError(
                f"image_limits must be 1 to {most} numbers of 0 to {highest}, not {limits!r}"
            )

    @property
    def number_bits(self) -> int:
        """Bits of a number that tell the memories apart."""
        return bits_for(len(self.image_limits))

    @property
    def padded_limits(self) -> tuple[int, ...]:
        """The limits, with zeros for the numbers of so many bits that no memory has."""
        return self.image_limits + (0,) * ((1 << self.number_bits) - len(self.image_limits))

    @property
    def fixed(self) -> bool:
        """Whether no memory image may be written."""
        return not any(self.image_limits)


def core_ports(lanes: int) -> dict[str, Any]:
    """A host's ports to the core, whose own are described in docs/architecture.md.

    image_valid, image: image writes. words, start_valid, start_ready, results: an inference.
    cycles: the core's counter. core_reset: resets the core, memories apart, for one cycle.
    """
    word = stream.Signature(8 * lanes)
    return {
        "image_valid": Out(1),
        "image": Out(IMAGE_WRITE),
        "words": Out(word),
        "start_valid": Out(1),
        "start_ready": In(1),
        "results": In(word),
        "cycles": In(32),
        "core_reset": Out(1),
    }
