"""What a host link or a bus must know of its core, and the ports between the two."""

from dataclasses import dataclass
from typing import Any

from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from weft.hw.host import IMAGE_WRITE
from weft.machine.images import SELECT_BITS, WORD_BITS


@dataclass(frozen=True, kw_only=True)
class CoreParams:
    """The core, seen from its host.

    lanes: bytes per word. n_in, n_out: words per inference. image_limits: for every value of the
    memory select of an image address, the first address within that memory that is too large (0:
    nothing may be written); all 0 for a fixed network.
    """

    lanes: int
    n_in: int
    n_out: int
    image_limits: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("lanes", "n_in", "n_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)!r}")
        n_limits, highest = 1 << SELECT_BITS, 1 << WORD_BITS
        limits = self.image_limits
        if len(limits) != n_limits or not all(0 <= limit <= highest for limit in limits):
            raise ValueError(
                f"image_limits must be {n_limits} numbers of 0 to {highest}, not {limits!r}"
            )

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
