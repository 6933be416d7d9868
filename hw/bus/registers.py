"""The register map: decoder, C header, the table in docs/integration.md and tests come from it."""

import enum
from dataclasses import dataclass

MAGIC = int.from_bytes(b"weft", "little")
MAP_VERSION = 2
ADDRESS_BITS = 8
"""Of a byte address on the bus."""


class Access(enum.Enum):
    """What the bus may do with a register. A read of a write-only one gives 0."""

    RO = "read"
    WO = "write"
    RW = "read, write"
    W1C = "read, write 1 to clear"


@dataclass(frozen=True, kw_only=True)
class Field:
    """Bits ``low`` to ``low + bits - 1`` of a register."""

    name: str
    low: int
    bits: int
    text: str

    @property
    def mask(self) -> int:
        return ((1 << self.bits) - 1) << self.low


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit register at a byte offset. reset: None where it is a figure of the build.

    Without fields, all 32 bits are one number.
    """

    name: str
    offset: int
    access: Access
    text: str
    reset: int | None = 0
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        if self.offset % 4 or not 0 <= self.offset < 1 << ADDRESS_BITS:
            raise ValueError(f"register {self.name}: offset {self.offset:#x} is no place for one")
        taken = 0
        for field in self.fields:
            if taken & field.mask or field.mask >> 32:
                raise ValueError(f"register {self.name}: field {field.name} has no room")
            taken |= field.mask

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def writable(self) -> bool:
        return self.access is not Access.RO


def _bit(name: str, low: int, text: str) -> Field:
    return Field(name=name, low=low, bits=1, text=text)


FINISHED = _bit("FINISHED", 0, "an inference has ended: its first output word is there")

REGISTERS = (
    Register(
        name="ID", offset=0x00, access=Access.RO, reset=MAGIC, text='"weft", "w" in the lowest byte'
    ),
    Register(
        name="VERSION",
        offset=0x04,
        access=Access.RO,
        reset=MAP_VERSION,
        text="of this map",
    ),
    Register(
        name="STATUS",
        offset=0x08,
        access=Access.RO,
        text="what the core does",
        fields=(
            Field(name="STATE", low=0, bits=2, text="0 LOAD, 1 READY, 2 RUN, 3 DONE"),
            _bit("FINISHED", 8, "IRQ_PENDING has FINISHED"),
            _bit("REFUSED", 9, "ERRORS is not 0"),
        ),
    ),
    Register(
        name="CONTROL",
        offset=0x0C,
        access=Access.WO,
        text="commands",
        fields=(
            _bit("START", 0, "run; refused unless READY"),
            _bit("RESET", 1, "back to LOAD from any state; drops inputs and outputs, keeps images"),
        ),
    ),
    Register(
        name="MODE",
        offset=0x10,
        access=Access.RW,
        text="how words travel; writable in LOAD and READY",
        fields=(
            _bit("BUS_INPUT", 0, "input words come through INPUT_DATA, not the stream"),
            _bit("BUS_OUTPUT", 1, "output words leave through OUTPUT_DATA, not the stream"),
            _bit("AUTO_START", 2, "run as soon as all inputs are there"),
        ),
    ),
    Register(
        name="ERRORS",
        offset=0x14,
        access=Access.W1C,
        text="why accesses were refused since it was cleared",
        fields=(
            _bit("ADDRESS", 0, "no such register, or a write to a read-only one"),
            _bit("SELECT", 1, "a write of less than four bytes"),
            _bit("STATE", 2, "not in this state or mode"),
            _bit("LIMIT", 3, "an image address beyond its memory"),
        ),
    ),
    Register(
        name="IRQ_ENABLE",
        offset=0x18,
        access=Access.RW,
        text="which bits of IRQ_PENDING raise irq",
        fields=(FINISHED,),
    ),
    Register(
        name="IRQ_PENDING",
        offset=0x1C,
        access=Access.W1C,
        text="what happened since it was cleared",
        fields=(FINISHED,),
    ),
    Register(
        name="CYCLES", offset=0x20, access=Access.RO, text="clock cycles of the current or last run"
    ),
    Register(
        name="PREDICTED_CYCLES",
        offset=0x24,
        access=Access.RO,
        reset=None,
        text="what CYCLES will be after every run of the build's own images",
    ),
    Register(name="LANES", offset=0x28, access=Access.RO, reset=None, text="K, bytes of a word"),
    Register(
        name="INPUT_WORDS", offset=0x2C, access=Access.RO, reset=None, text="words of all inputs"
    ),
    Register(
        name="OUTPUT_WORDS", offset=0x30, access=Access.RO, reset=None, text="words of all outputs"
    ),
    Register(
        name="WORDS_LEFT",
        offset=0x34,
        access=Access.RO,
        reset=None,
        text="input words still to come in LOAD, output words still to leave in DONE; else 0",
    ),
    Register(
        name="INPUT_DATA",
        offset=0x38,
        access=Access.WO,
        text="next 4 bytes of an input word; refused unless LOAD and BUS_INPUT",
    ),
    Register(
        name="OUTPUT_DATA",
        offset=0x3C,
        access=Access.RO,
        text="next 4 bytes of an output word; refused unless DONE and BUS_OUTPUT",
    ),
    Register(
        name="IMAGE_ADDRESS",
        offset=0x40,
        access=Access.RW,
        text="where the next image write goes",
        fields=(
            Field(name="WORD", low=0, bits=24, text="place in the memory; one more after each"),
            Field(name="MEMORY", low=24, bits=8, text="number of the memory"),
        ),
    ),
    Register(
        name="IMAGE_LOW", offset=0x44, access=Access.RW, text="bits 31 to 0 of the next image write"
    ),
    Register(
        name="IMAGE_HIGH",
        offset=0x48,
        access=Access.WO,
        text="makes the image write; refused in RUN and beyond the memory",
        fields=(Field(name="DATA", low=0, bits=4, text="bits 35 to 32"),),
    ),
    *(
        Register(
            name=f"PLAN_HASH_{i}",
            offset=0x50 + 4 * i,
            access=Access.RO,
            reset=None,
            text=f"bytes {4 * i} to {4 * i + 3} of the manifest's plan_hash, the first one lowest",
        )
        for i in range(4)
    ),
)

BY_NAME = {register.name: register for register in REGISTERS}
HASH_BYTES = 16


def table() -> str:
    """The map as Markdown, for docs/integration.md."""
    lines = ["| offset | register | access | reset | meaning |", "|---|---|---|---|---|"]
    for r in REGISTERS:
        reset = "of the build" if r.reset is None else f"{r.reset:#x}" if r.reset > 9 else r.reset
        lines.append(f"| {r.offset:#04x} | `{r.name}` | {r.access.value} | {reset} | {r.text} |")
        for f in r.fields:
            bits = f"{f.low}" if f.bits == 1 else f"{f.low + f.bits - 1}:{f.low}"
            lines.append(f"| | `{f.name}` | bit {bits} | | {f.text} |")
    return "\n".join(lines) + "\n"
