"""What synthesis has to know about a device family."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from weft.boards.board import Board, Clock, Device
from weft.boards.families.pll import Pll
from weft.errors import ConfigError
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Resources(Value):
    """Cells of a synthesised design, in the units of the board file's budget.

    ``carry``: carry cells, which ``lut`` includes where they take the place of LUTs.
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    spram: int
    carry: int


class Pin(NamedTuple):
    """A port of the board's top: its name, package pin and IO standard; whether it is pulled up."""

    port: str
    pin: str
    io: str
    pull_up: bool = False


class Files(NamedTuple):
    """Paths that the tools get, relative to the folder they run in."""

    netlist: str
    constraints: str
    placed: str
    report: str
    bitstream: str


class Family(ABC):
    """Commands, flags, resource names and constraint file of one family.

    ``nextpnr``, ``packer``: tools. ``constraints_suffix``, ``placed_suffix``,
    ``bitstream_suffix``: of the constraint file, nextpnr's result and the bitstream.
    ``default_hz``: a clock that designs should meet anywhere in the family; None: the oscillator's.
    ``cells``: what the vendor calls each resource. ``cell_library``: yosys' models of the
    family's cells, empty if they do not suffice to simulate a netlist; ``cell_models``: files in
    ``sim_tb/models`` for those it lacks; ``replaced_cells``: those it has, but ours are used.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    nextpnr: ClassVar[str]
    packer: ClassVar[str]
    constraints_suffix: ClassVar[str]
    placed_suffix: ClassVar[str]
    bitstream_suffix: ClassVar[str]
    default_hz: ClassVar[int | None]
    cells: ClassVar[Mapping[str, str]]
    devices: ClassVar[tuple[str, ...]]
    plls: ClassVar[tuple[str, ...]]
    cell_library: ClassVar[tuple[str, ...]] = ()
    cell_models: ClassVar[tuple[str, ...]] = ()
    replaced_cells: ClassVar[tuple[str, ...]] = ()

    def check(self, board: Board) -> None:
        """Raise ConfigError unless the board's device and PLL are of this family."""
        if board.device.name not in self.devices:
            raise ConfigError(
                f"board {board.name!r}: unknown {self.title} device {board.device.name!r}; "
                f"known: {', '.join(self.devices)}"
            )
        if board.clock.pll is not None and board.clock.pll not in self.plls:
            raise ConfigError(
                f"board {board.name!r}: clock.pll must be one of {', '.join(self.plls)}, "
                f"not {board.clock.pll!r}"
            )

    @abstractmethod
    def pll(self, device: Device, clock: Clock, hz: float) -> Pll:
        """The PLL that makes ``hz`` from the board's clock. Raises ConfigError."""

    @abstractmethod
    def synth_command(self, device: Device, top: str, netlist: str) -> str:
        """yosys' command that maps to the family and writes ``netlist``."""

    @abstractmethod
    def resources(self, cells: Mapping[str, int]) -> Resources:
        """From yosys' number of cells by type."""

    def finish_netlist(self, module: dict[str, Any]) -> tuple[int, int]:
        """Improve the netlist before nextpnr gets it: LUTs that this added, flip-flops saved.

        module: the top's part of yosys' JSON, flattened; edited in place.
        """
        return 0, 0

    @abstractmethod
    def constraints(self, pins: list[Pin], clock: Clock) -> str:
        """The constraint file."""

    @abstractmethod
    def nextpnr_arguments(self, device: Device, files: Files, hz: float) -> list[str]:
        """Everything but the seed; ``hz`` is the clock to aim for."""

    @abstractmethod
    def placed(self, utilisation: Mapping[str, Any]) -> int:
        """Logic cells in use, from the utilisation in nextpnr's report. Raises KeyError."""

    @abstractmethod
    def pack_arguments(self, device: Device, files: Files) -> list[str]:
        """For the packer."""
