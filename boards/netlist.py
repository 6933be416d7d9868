"""A board without a board, after synthesis: the netlist that goes to nextpnr, Verilated."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weft.boards.build_dir import Build, netlist_hz
from weft.boards.families.family import Family
from weft.boards.families.lookup import family_of
from weft.boards.job import FOLDER as SYNTH
from weft.boards.toolchain import RunError, find_tool, run, version
from weft.boards.top import TOP, uart_divisor
from weft.errors import ConfigError, ToolError
from weft.gen.drafts import draft_folder
from weft.gen.locks import using
from weft.gen.output import write_file
from weft.hw.link.link import TIMEOUT_BITS
from weft.sim_tb.uart_board import UartBoard

FOLDER = "sim"
NETLIST = "netlist"
MODELS = Path(__file__).absolute().parent.parent / "sim_tb" / "models"
TIMEOUT_SECONDS = 3600.0
LOGS = (".log", ".out")
# Tens of thousands of small assignments: with -O2 and whole functions g++ takes many times as long.
ARGUMENTS = (
    *("--x-initial", "fast", "--output-split-cfuncs", "300"),
    *("-MAKEFLAGS", "OPT_FAST=-O1"),
)


@contextmanager
def netlist_board(build: Build) -> Iterator[str]:
    """The serial port of the simulated netlist of the last synthesis, while the context lasts.

    Everything is as on the board, the UART's divisor included; a PLL passes its reference on.
    Raises ConfigError without a netlist and for a family without models, and ToolError.
    """
    family = family_of(build.board)
    hz = netlist_hz(build.folder)
    netlist = f"{SYNTH}/{TOP}.json"
    if hz is None or not (build.folder / netlist).is_file():
        raise ConfigError(
            f"{build.folder} has no netlist; make one with `weft synth {build.folder} --yosys-only`"
        )
    (build.folder / FOLDER).mkdir(exist_ok=True)
    with using(build.folder / SYNTH):
        board = UartBoard(
            sources=netlist_sources(family, netlist, TOP, build.folder, f"{FOLDER}/{NETLIST}"),
            workdir=build.folder / FOLDER,
            run_dir=build.folder,
            arguments=ARGUMENTS,
        )
        divisor = uart_divisor(build.board, hz)
        with board.running(divisor=divisor, linger=2 << TIMEOUT_BITS) as port:
            yield port


def netlist_sources(
    family: Family, netlist: str, top: str, folder: Path, stem: str
) -> tuple[Path, ...]:
    """Verilog for Verilator of a yosys JSON netlist: ``folder/stem.v`` and the cells' models.

    ``netlist`` and ``stem`` are relative to ``folder``. Small cells are replaced by what yosys'
    own models of them say, large ones stay. Nothing is done if the file is up to date. Raises
    ConfigError for a family without models, and ToolError.
    """
    if not family.cell_library:
        raise ConfigError(
            f"a netlist for {family.title} cannot be simulated: there are no models of its cells"
        )
    models = tuple(MODELS / f"{name}.v" for name in family.cell_models)
    tool = find_tool("yosys")
    key = hashlib.sha256(f"{version(tool)}\0{_script(family, netlist, top, '')}\0".encode())
    key.update((folder / netlist).read_bytes())
    stamp = folder / f"{stem}.key"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key.hexdigest():
        stamp.unlink(missing_ok=True)
        with draft_folder(stamp.parent) as draft:  # others may be about the same
            own = (draft.relative_to(folder) / NETLIST).as_posix()
            write_file(draft / f"{NETLIST}.ys", _script(family, netlist, top, f"{own}.v"))
            try:
                run(
                    tool,
                    ["-q", "-l", f"{own}.log", "-s", f"{own}.ys"],
                    cwd=folder,
                    log=f"{own}.out",
                    own_log=f"{own}.log",
                    timeout=TIMEOUT_SECONDS,
                )
            except RunError as error:
                for suffix in LOGS:
                    _move(draft / f"{NETLIST}{suffix}", folder / f"{stem}{suffix}")
                raise ToolError(str(error).replace(own, stem)) from error
            for suffix in (".ys", *LOGS, ".v"):
                _move(draft / f"{NETLIST}{suffix}", folder / f"{stem}{suffix}")
        write_file(stamp, key.hexdigest())
    return (folder / f"{stem}.v", *models)


def _move(made: Path, place: Path) -> None:
    if made.is_file():
        made.replace(place)


def _script(family: Family, netlist: str, top: str, verilog: str) -> str:
    """Constants are folded, and wires without a use dropped: logic is the netlist's otherwise."""
    lines = [
        f"read_json {netlist}",
        f"delete =* {top} %d",  # cells' models, as synthesis saw them
        f"read_verilog -defer {' '.join(family.cell_library)}",  # only what is used is elaborated
        *(f"delete $abstract\\{name}" for name in family.replaced_cells),
        "delete =A:blackbox",
        f"hierarchy -top {top}",
        "proc",
        "memory_collect",
        # A lookup table becomes what its contents say: Verilator takes ten times as long otherwise.
        *("opt_expr", "simplemap t:$mux", "opt_expr -mux_bool", "opt_clean -purge"),
        "setundef -zero",
        *("flatten -wb", "opt_expr -mux_bool", "opt_clean -purge"),
        "rename -hide w:*",  # short names
        f"write_verilog -noattr {verilog}",
    ]
    return "\n".join(lines) + "\n"
