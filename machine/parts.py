"""What an engine is made of: counts of parts, in which no device family enters."""

from collections.abc import Mapping
from dataclasses import dataclass

from weft.machine.engine import Style
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Multipliers(Value):
    """Equal multipliers of a_bits x b_bits; only those of one group can share a DSP block."""

    style: Style
    groups: int
    each: int
    a_bits: int
    b_bits: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.groups * self.each


@dataclass(frozen=True, kw_only=True, eq=False)
class Ram(Value):
    """A memory with one write and one read port, of ``depth`` words.

    grain: bits that a write enable belongs to. large: one port is enough, so that it may lie in
    large single-ported RAMs.
    """

    width: int
    depth: int
    grain: int
    large: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts(Value):
    """An engine in parts: what costs DSPs and RAMs by rules, and counts of all else by name.

    A kind of engine chooses the names; each device family has a cost for each (``machine/costs``).
    Three are of no kind: ``register_bits``, which the structure names one by one, ``adder_bits``
    and ``multiplexer_bits``.
    """

    counts: Mapping[str, int]
    multipliers: tuple[Multipliers, ...]
    rams: tuple[Ram, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Resources(Value):
    """Counts of LUT4 equivalents, flip-flops, multipliers, block RAMs, large single-ported RAMs."""

    lut: int
    ff: int
    dsp: int
    bram: int
    spram: int = 0
