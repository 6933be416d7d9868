"""From a build directory to a bitstream: yosys, nextpnr, ecppack."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from weft.boards.board import Board
from weft.boards.bram_register import merge_output_registers
from weft.boards.build_dir import Build, merge_report, open_build
from weft.boards.synth_report import Resources, SynthReport, read_pnr, read_stat
from weft.boards.toolchain import RunError, Tool, find_tool, run, version
from weft.boards.top import TOP, board_constraints, board_verilog
from weft.nn.errors import ConfigError, FitError

FOLDER = "synth"
BITSTREAM = "bitstream.bit"
MAX_SEEDS = 3
CELLS = Path(__file__).parent.parent / "hw" / "cells"
DEVICE_FLAGS = {
    "LFE5U-12F": "--12k",
    "LFE5U-25F": "--25k",
    "LFE5U-45F": "--45k",
    "LFE5U-85F": "--85k",
    "LFE5UM-25F": "--um-25k",
    "LFE5UM-45F": "--um-45k",
    "LFE5UM-85F": "--um-85k",
    "LFE5UM5G-25F": "--um5g-25k",
    "LFE5UM5G-45F": "--um5g-45k",
    "LFE5UM5G-85F": "--um5g-85k",
}
# Failures of nextpnr that another seed may cure.
SEED_DEPENDENT = ("failed to route", "unroutable", "routing failed", "unable to find legal")

Progress = Callable[[str], None]


def synthesise(
    build: Path,
    *,
    place_and_route: bool = True,
    freq: float | None = None,
    seed: int = 1,
    timeout: float = 3600,
    progress: Progress = lambda message: None,
) -> SynthReport:
    """Synthesise a build directory for its board; with ``place_and_route`` up to a bitstream.

    ``freq``: the target for nextpnr in MHz (default: the board's clock). A target or a clock that
    is not met is reported, not refused. ``seed``: the first for nextpnr; when routing fails or
    takes longer than ``timeout`` (seconds, for each tool run), the next seeds are tried,
    MAX_SEEDS in all. ``progress`` receives one line per stage.

    Files go to ``build/synth``; the bitstream is copied to ``build/bitstream.bit`` and the result
    merged into ``build/report.json`` under "synthesis".

    Raises ConfigError (not a build directory, unsupported family), FitError (more cells than the
    board has) and ToolError.
    """
    opened = open_build(build)
    _check_device(opened.board)
    target_mhz = freq if freq is not None else opened.board.clock.hz / 1e6
    if target_mhz <= 0:
        raise ConfigError(f"the target frequency must be more than 0 MHz, not {target_mhz:g}")
    names = ("yosys", "nextpnr-ecp5", "ecppack") if place_and_route else ("yosys",)
    tools = {name: find_tool(name) for name in names}
    (build / FOLDER).mkdir(exist_ok=True)
    if place_and_route:
        (build / BITSTREAM).unlink(missing_ok=True)  # never leave the one of an earlier run

    progress(f"yosys: synthesis for {opened.board.name}")
    resources, yosys_seconds = _synthesise(opened, tools["yosys"], target_mhz, timeout)
    report = SynthReport(
        board=opened.board.name,
        **resources.to_json(),
        yosys_seconds=round(yosys_seconds, 1),
        tools=tuple(version(tool) for tool in tools.values()),
    )
    merge_report(build, "synthesis", report.to_json())
    if not place_and_route:
        return report

    _check_fit(opened.board, resources)
    settings = _Settings(tools["nextpnr-ecp5"], target_mhz, seed, timeout)
    placed = _place_and_route(opened, settings, progress)
    progress("ecppack: bitstream")
    _pack(build, tools["ecppack"], timeout)
    report = report.replace(**placed, bitstream=BITSTREAM)
    merge_report(build, "synthesis", report.to_json())
    return report


def _check_device(board: Board) -> None:
    if board.device.family != "ecp5":
        raise ConfigError(
            f"board {board.name!r}: synthesis for family {board.device.family!r} is not "
            "supported yet; supported: 'ecp5'"
        )
    if board.device.name not in DEVICE_FLAGS:
        raise ConfigError(
            f"board {board.name!r}: unknown ECP5 device {board.device.name!r}; "
            f"known: {', '.join(DEVICE_FLAGS)}"
        )


def _check_fit(board: Board, need: Resources) -> None:
    """Placement would fail on these too, later and less clearly."""
    for name, what in (
        ("dsp", "multipliers (MULT18X18D)"),
        ("bram", "block RAMs (DP16KD)"),
        ("lut", "LUTs"),
        ("ff", "flip-flops"),
    ):
        if getattr(need, name) > getattr(board.budget, name):
            raise FitError(
                f"the design does not fit {board.name}: it needs {getattr(need, name)} {what}, "
                f"the board has {getattr(board.budget, name)}; try fewer --lanes or --columns, "
                "or a larger board"
            )


def vendor_sources(build: Build, family: str) -> list[str]:
    """The design's sources, with the family's own cells in place of the portable ones.

    A source ``*/cells/NAME.v`` for which ``hw/cells/<family>/NAME.v`` exists is replaced by
    a copy of it in ``synth/cells``. Paths are relative to the build directory.
    """
    chosen = []
    for source in build.sources:
        path = Path(source)
        vendor = CELLS / family / path.name
        if path.parent.name == "cells" and vendor.is_file():
            own = Path(FOLDER) / "cells" / path.name
            (build.folder / own).parent.mkdir(exist_ok=True)
            shutil.copyfile(vendor, build.folder / own)
            path = own
        chosen.append(path.as_posix())
    return chosen


def _synthesise(
    build: Build, yosys: Tool, target_mhz: float, timeout: float
) -> tuple[Resources, float]:
    """Write board top, constraints and script, and run yosys; resources and wall seconds."""
    folder = build.folder / FOLDER
    board = build.board
    text = board_verilog(board, build.link)
    (folder / f"{TOP}.v").write_text(text, encoding="utf-8")
    constraints = board_constraints(board, target_mhz)
    (folder / f"{TOP}.lpf").write_text(constraints, encoding="utf-8")
    sources = [f"{FOLDER}/{TOP}.v", *vendor_sources(build, board.device.family)]
    script = [
        *(f'read_verilog "{source}"' for source in sources),
        # Without -no-rw-check every memory gets logic for a case that weft never uses.
        f"synth_ecp5 -top {TOP} -no-rw-check -json {FOLDER}/{TOP}.json",
        f"tee -q -o {FOLDER}/stat.json stat -json",
    ]
    (folder / "yosys.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
    seconds = run(
        yosys,
        # YoWASP's yosys loses stdout once ABC has run: hence -l.
        ["-q", "-l", f"{FOLDER}/yosys.log", "-s", f"{FOLDER}/yosys.ys"],
        cwd=build.folder,
        log=f"{FOLDER}/yosys.out",
        own_log=f"{FOLDER}/yosys.log",
        timeout=timeout,
    )
    resources = read_stat(folder / "stat.json")
    n_saved = merge_output_registers(folder / f"{TOP}.json", TOP)
    return resources.replace(ff=resources.ff - n_saved), seconds


class _Settings(NamedTuple):
    nextpnr: Tool
    target_mhz: float
    seed: int
    timeout: float


def _place_and_route(build: Build, settings: _Settings, progress: Progress) -> dict[str, Any]:
    """nextpnr with up to MAX_SEEDS seeds; the fields of SynthReport that come from it."""
    seeds: list[int] = []
    seconds = 0.0
    while True:
        seed = settings.seed + len(seeds)
        seeds.append(seed)
        progress(f"nextpnr: place and route, seed {seed}, {settings.target_mhz:g} MHz")
        try:
            seconds += run(
                settings.nextpnr,
                _nextpnr_arguments(build.board, seed),
                cwd=build.folder,
                log=f"{FOLDER}/nextpnr-{seed}.log",
                timeout=settings.timeout,
            )
            break
        except RunError as error:
            if len(seeds) == MAX_SEEDS or not _curable(error):
                raise
            seconds += error.seconds
            progress(f"nextpnr: no result with seed {seed}, trying the next one")
    path = build.folder / FOLDER / "nextpnr.json"
    comb, timing = read_pnr(path, build.board, settings.target_mhz)
    took = round(seconds, 1)
    return {"comb": comb, "timing": timing, "seeds": tuple(seeds), "pnr_seconds": took}


def _nextpnr_arguments(board: Board, seed: int) -> list[str]:
    return [
        DEVICE_FLAGS[board.device.name],
        *("--package", board.device.package, "--speed", board.device.speed),
        *("--json", f"{FOLDER}/{TOP}.json", "--lpf", f"{FOLDER}/{TOP}.lpf"),
        *("--textcfg", f"{FOLDER}/{TOP}.config", "--report", f"{FOLDER}/nextpnr.json"),
        *("--seed", str(seed), "--timing-allow-fail"),
    ]


def _curable(error: RunError) -> bool:
    """Whether another seed may help."""
    text = error.output.lower()
    return error.timed_out or any(phrase in text for phrase in SEED_DEPENDENT)


def _pack(build: Path, ecppack: Tool, timeout: float) -> None:
    config, bit = f"{FOLDER}/{TOP}.config", f"{FOLDER}/{TOP}.bit"
    log = f"{FOLDER}/ecppack.log"
    run(ecppack, ["--compress", config, bit], cwd=build, log=log, timeout=timeout)
    shutil.copyfile(build / bit, build / BITSTREAM)
