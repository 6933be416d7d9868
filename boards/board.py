"""Boards are data: what a board file says, checked, as a frozen value."""

import difflib
import reprlib
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from weft.boards.yaml_file import read_yaml
from weft.errors import ConfigError
from weft.machine.family import FAMILIES
from weft.value import TAG, Value

MAX_TEXT = 1000
MAX_BUDGET = 100_000_000  # of anything: ten times the largest FPGA's
MIN_HZ, MAX_HZ = 1_000, 10_000_000_000
BOARDS_FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True, eq=False)
class Device(Value):
    """The FPGA: ``name``, ``package`` and ``speed`` as ``weft.boards.families`` spells them.

    ``pack``: further words for the bitstream packer.
    """

    family: str
    name: str
    package: str
    speed: str
    pack: tuple[str, ...] = ()

    def _check(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"device.family must be one of {', '.join(FAMILIES)}, not {self.family!r}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Budget(Value):
    """What the device has, as nextpnr counts it.

    ``lut`` 4-input LUTs (iCE40: logic cells), ``ff`` flip-flops, ``dsp`` multipliers (ECP5:
    MULT18X18D, Gowin: MULT18X18, each of which may also be two MULT9X9, iCE40: SB_MAC16), ``bram``
    block RAMs (ECP5: DP16KD of 18 kbit, Gowin: BSRAM of 18 kbit, iCE40: 4 kbit), ``spram``
    single-ported RAMs (iCE40 UP5K only).
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    spram: int

    def _check(self) -> None:
        for field in fields(self):
            count = getattr(self, field.name)
            if count < 0:
                raise ValueError(f"budget.{field.name} must be 0 or more, not {count}")
            if count > MAX_BUDGET:
                raise ValueError(f"budget.{field.name} must be at most {MAX_BUDGET}, not {count}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Clock(Value):
    """The oscillator: its pin, the pin's IO standard, and its frequency.

    ``design_hz``: the clock that designs get unless the user chooses another one (default: a
    cautious one of the family). ``pll``: the cell that makes it, where the family has several.
    """

    pin: str
    io: str
    hz: int
    design_hz: int | None = None
    pll: str | None = None

    def _check(self) -> None:
        for name in ("hz", "design_hz"):
            hz = getattr(self, name)
            if hz is not None and hz <= 0:
                raise ValueError(f"clock.{name} must be more than 0, not {hz}")
            if hz is not None and not MIN_HZ <= hz <= MAX_HZ:
                raise ValueError(f"clock.{name} must be {MIN_HZ} to {MAX_HZ} Hz, not {hz}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Uart(Value):
    """Serial pins as the FPGA sees them: it receives on ``rx`` and sends on ``tx``.

    ``via``: what is at the other end of them, for people.
    """

    rx: str
    tx: str
    io: str
    via: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Leds(Value):
    """LED pins; ``active`` is the level that lights them, "high" or "low"."""

    pins: tuple[str, ...]
    io: str
    active: str

    def _check(self) -> None:
        if self.active not in ("high", "low"):
            raise ValueError(f"leds.active must be 'high' or 'low', not {self.active!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Flash(Value):
    """How a bitstream gets onto the board.

    ``command``: words of a command line; ``{bitstream}`` stands for the file. ``into``: "flash" if
    the design is still there after power-off, else "sram".
    """

    into: str
    command: tuple[str, ...]

    def _check(self) -> None:
        if self.into not in ("flash", "sram"):
            raise ValueError(f"flash.into must be 'flash' or 'sram', not {self.into!r}")
        if not self.command or not any("{bitstream}" in word for word in self.command[1:]):
            raise ValueError(
                "flash.command must be a tool's name and its arguments, with '{bitstream}' where "
                "the file's name goes"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Sources(Value):
    """Where each group of figures comes from."""

    device: str
    budget: str
    clock: str
    uart: str
    leds: str
    flash: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Board(Value):
    """One board.

    ``high``: pins that a design must hold at 1 (IO standard as the UART's). ``notes``: what a user
    must know or do before the board works as the file says.
    """

    name: str
    title: str
    device: Device
    budget: Budget
    clock: Clock
    uart: Uart
    leds: Leds
    flash: Flash
    high: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sources: Sources


def list_boards() -> list[str]:
    """Names of the boards that come with weft, sorted."""
    return sorted(path.stem for path in BOARDS_FOLDER.glob("*.yaml"))


def load_board(name_or_path: str | Path) -> Board:
    """A board by name (see ``list_boards``) or from the user's own YAML file by path.

    A string with a slash or ending in .yaml or .yml is a path. Raises ConfigError naming the
    file, the field and what is expected there.
    """
    text = str(name_or_path)
    is_path = isinstance(name_or_path, Path) or "/" in text or "\\" in text
    if is_path or text.endswith((".yaml", ".yml")):
        return _read(Path(text))
    known = list_boards()
    if text not in known:
        close = difflib.get_close_matches(text.lower(), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise ConfigError(
            f"unknown board {text!r}{hint} Known boards: {', '.join(known)}; "
            "or give the path of a board file (.yaml)"
        )
    return _read(BOARDS_FOLDER / f"{text}.yaml")


def board_from_data(data: Any, where: str) -> Board:
    """A board from plain data: a parsed board file or ``Board.to_json()``.

    ``where`` names the file in error messages. Raises ConfigError.
    """
    return _value(Board, data, where, "")


def _read(path: Path) -> Board:
    return board_from_data(read_yaml(path), f"board file {path}")


def _value(cls: type[Value], data: Any, where: str, prefix: str) -> Any:
    """``cls`` from a mapping with exactly its fields; ``prefix`` is the path to it in the file."""
    if not isinstance(data, dict):
        place = f"field {prefix[:-1]!r}" if prefix else "the top level"
        raise ConfigError(f"{where}: {place} must be a mapping of fields, not {_short(data)}")
    hints = typing.get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    for key in data:
        if key not in names and not (key == TAG and data[key] == cls.__name__):
            close = difflib.get_close_matches(str(key)[:80], names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ConfigError(
                f"{where}: unknown field '{prefix}{key!s:.80}'{hint}; expected: {', '.join(names)}"
            )
    for field in fields(cls):
        if field.name not in data and field.default is MISSING:
            raise ConfigError(
                f"{where}: field '{prefix}{field.name}' is missing; "
                f"expected {_expected(hints[field.name])}"
            )
    made = {n: _field(hints[n], data[n], where, prefix + n) for n in names if n in data}
    try:
        return cls(**made)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _field(hint: Any, item: Any, where: str, name: str) -> Any:
    """One field's value, of the type that ``hint`` asks for."""
    if isinstance(hint, types.UnionType):  # "X | None", null in the file
        if item is None:
            return None
        hint = _required(hint)
    if isinstance(hint, type) and issubclass(hint, Value):
        return _value(hint, item, where, name + ".")
    if typing.get_origin(hint) is tuple and isinstance(item, list | tuple):
        if all(type(x) is str for x in item):
            return tuple(_text(x, where, name) for x in item)
    elif isinstance(hint, type) and type(item) is hint:
        return _text(item, where, name) if hint is str else item
    raise ConfigError(f"{where}: field {name!r} must be {_expected(hint)}, not {_short(item)}")


def _text(item: str, where: str, name: str) -> str:
    """It may end up in messages, constraint files and command lines."""
    if len(item) > MAX_TEXT or not item.replace("\n", "").isprintable():
        raise ConfigError(
            f"{where}: field {name!r} must be at most {MAX_TEXT} printable characters, not "
            f"{_short(item)}"
        )
    return item


def _required(hint: Any) -> Any:
    """X of "X | None"; anything else as it is."""
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _expected(hint: Any) -> str:
    hint = _required(hint)
    if typing.get_origin(hint) is tuple:
        return "a list of strings"
    if isinstance(hint, type) and issubclass(hint, Value):
        return "a mapping with " + ", ".join(_names(hint))
    return {int: "an integer", str: "a string (in quotes if it looks like a number)"}[hint]


def _names(cls: type[Value]) -> Iterator[str]:
    return (field.name for field in fields(cls))


def _short(item: Any) -> str:
    """As Python writes it, but never longer than a line."""
    return reprlib.repr(item)
