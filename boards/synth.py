"""From a build directory to a bitstream: yosys, nextpnr and the family's packer."""

import json
from pathlib import Path

from weft import limits
from weft.boards.build_dir import Build, merge_report, open_build
from weft.boards.families.family import Family, Resources
from weft.boards.families.lookup import design_hz, family_of, pll_for
from weft.boards.job import FOLDER, Job, Progress
from weft.boards.place_route import run_nextpnr
from weft.boards.synth_report import SynthReport, Timing, read_stat
from weft.boards.toolchain import Tool, find_tool, version
from weft.boards.top import TOP, board_pins, board_verilog
from weft.errors import FitError, ToolError
from weft.gen.locks import using
from weft.gen.output import write_file

BITSTREAM = "bitstream"
MULTIPLIERS = ("weft_mul", "weft_dual_mul")
CELLS = Path(__file__).parent.parent / "hw" / "cells"
SAFE_SHARE = 0.95  # of the fmax that one seed reached: what to ask for instead


def synthesise(
    build: Path,
    *,
    place_and_route: bool = True,
    clock_mhz: float | None = None,
    allow_timing_failure: bool = False,
    seed: int = 1,
    placements: int = 1,
    timeout: float = 3600,
    progress: Progress = lambda message: None,
) -> SynthReport:
    """Synthesise a build directory for its board; with ``place_and_route`` up to a bitstream.

    ``clock_mhz``: the design's clock, by a PLL if it is not the oscillator's (default: the board's
    or family's). If nextpnr cannot meet it, no bitstream is written, unless
    ``allow_timing_failure``. ``seed``: the first for nextpnr; with ``placements`` above 1
    so many seeds are placed, and the one that looks fastest is routed. When routing fails or takes
    longer than ``timeout`` (seconds, for each tool run), other seeds are tried, three in all.
    ``progress`` receives one line per stage.

    Files go to ``build/synth``; the bitstream is copied to ``build/bitstream.*`` and the result
    merged into ``build/report.json`` under "synthesis".

    Raises ConfigError (not a build directory, unknown device, a clock that cannot be made, no
    placement), FitError (more cells than the board has, or a clock that is not met) and ToolError.
    """
    opened = open_build(build)
    family = family_of(opened.board)
    limits.CLOCK_MHZ.check(clock_mhz)
    limits.SEED.check(seed)
    limits.PLACEMENTS.check(placements)
    limits.TIMEOUT.check(timeout)
    hz = design_hz(opened.board) if clock_mhz is None else clock_mhz * 1e6
    job = Job(
        build=opened,
        family=family,
        pll=pll_for(opened.board, hz),
        seed=seed,
        placements=placements,
        timeout=timeout,
        progress=progress,
    )
    names = ("yosys", family.nextpnr, family.packer) if place_and_route else ("yosys",)
    tools = [find_tool(name) for name in names]
    (build / FOLDER).mkdir(exist_ok=True)
    with using(build), using(build / FOLDER, alone=True):
        return _synthesise(job, tools, place_and_route, allow_timing_failure)


def _synthesise(
    job: Job, tools: list[Tool], place_and_route: bool, allow_timing_failure: bool
) -> SynthReport:
    """All stages, each with its part of the report."""
    build = job.build.folder
    (build / job.files.netlist).unlink(missing_ok=True)
    if place_and_route:  # never leave the one of an earlier run
        (build / _bitstream(job)).unlink(missing_ok=True)
    report = _map(job, tools)
    merge_report(build, "synthesis", report.to_json())
    if not place_and_route:
        return report

    _check_fit(job, report)
    report = report.replace(**run_nextpnr(job, tools[1]))
    merge_report(build, "synthesis", report.to_json())
    assert report.timing is not None
    if not report.timing.met and not allow_timing_failure:
        raise FitError(_missed(job, report.timing))
    report = report.replace(bitstream=_pack(job, tools[2]))
    merge_report(build, "synthesis", report.to_json())
    return report


def _check_fit(job: Job, need: SynthReport) -> None:
    """Placement would fail on these too, later and less clearly."""
    for name, what in job.family.cells.items():
        if getattr(need, name) > getattr(job.board.budget, name):
            raise FitError(
                f"it needs {getattr(need, name)} {what}, the board has "
                f"{getattr(job.board.budget, name)}",
                at=f"the design does not fit {job.board.name}",
                remedy="try fewer --lanes or --columns, or a larger board",
            )


def _missed(job: Job, timing: Timing) -> str:
    if timing.hold_violated:
        return (
            f"timing: a path on {job.board.name} is {-(timing.hold_slack_ns or 0):g} ns too fast "
            "(hold time); no bitstream was written; try another --seed, or --allow-timing-failure "
            "for a bitstream that may compute wrong results"
        )
    return (
        f"timing: the design reaches {timing.fmax_mhz:g} MHz on {job.board.name}, its clock is "
        f"{timing.clock_mhz:g} MHz; no bitstream was written\n"
        f"  critical path: {timing.critical_path}\n"
        f"  try --clock {int(timing.fmax_mhz * SAFE_SHARE)}, --placements 3, another --seed, or "
        "--allow-timing-failure for a bitstream that may compute wrong results"
    )


def vendor_sources(build: Build, family: str) -> list[str]:
    """The design's sources, with the family's own cells in place of the portable ones.

    A source ``*/cells/NAME.v`` for which ``hw/cells/<family>/NAME.v`` exists is replaced by
    a copy of it in ``synth/cells``; but multipliers stay portable on a device without any. Paths
    are relative to the build directory.
    """
    chosen = []
    for source in build.sources:
        path = Path(source)
        vendor = CELLS / family / path.name
        missing = path.stem in MULTIPLIERS and not build.board.budget.dsp
        if path.parent.name == "cells" and vendor.is_file() and not missing:
            own = Path(FOLDER) / "cells" / path.name
            write_file(build.folder / own, vendor.read_bytes())
            path = own
        chosen.append(path.as_posix())
    return chosen


def _map(job: Job, tools: list[Tool]) -> SynthReport:
    """yosys: the netlist, and what it takes."""
    job.progress(f"yosys: synthesis for {job.board.name}")
    _write_inputs(job)
    # YoWASP's yosys loses stdout once ABC has run: hence -l.
    arguments = ["-q", "-l", f"{FOLDER}/yosys.log", "-s", f"{FOLDER}/yosys.ys"]
    seconds = job.run(tools[0], arguments, "yosys.out", "yosys.log")
    folder = job.build.folder
    resources: Resources = read_stat(folder / FOLDER / "stat.json", job.family)
    lut_added, ff_saved = finish_netlist(job.family, folder / job.files.netlist, TOP)
    resources = resources.replace(lut=resources.lut + lut_added, ff=resources.ff - ff_saved)
    return SynthReport(
        board=job.board.name,
        clock_mhz=round(job.clock_hz / 1e6, 4),
        pll=str(job.pll) if job.pll else None,
        **resources.to_json(),
        yosys_seconds=round(seconds, 1),
        tools=tuple(version(tool) for tool in tools),
    )


def finish_netlist(family: Family, netlist: Path, top: str) -> tuple[int, int]:
    """Let the family improve yosys' JSON file: LUTs that this added, flip-flops that it saved.

    Raises ToolError if the file is not a netlist with that top.
    """
    try:
        data = json.loads(netlist.read_text(encoding="utf-8"))
        module = data["modules"][top]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{netlist}: not the netlist that was expected: {error}") from error
    changes = family.finish_netlist(module)
    write_file(netlist, json.dumps(data))
    return changes


def _write_inputs(job: Job) -> None:
    """Board top, constraints and yosys' script."""
    build, board = job.build, job.board
    text = board_verilog(board, job.pll, build.link)
    write_file(build.folder / FOLDER / f"{TOP}.v", text)
    constraints = job.family.constraints(board_pins(board), board.clock)
    write_file(build.folder / job.files.constraints, constraints)
    sources = [f"{FOLDER}/{TOP}.v", *vendor_sources(build, job.family.name)]
    script = [
        *(f'read_verilog "{source}"' for source in sources),
        job.family.synth_command(board.device, TOP, job.files.netlist),
        f"tee -q -o {FOLDER}/stat.json stat -json",
    ]
    write_file(build.folder / FOLDER / "yosys.ys", "\n".join(script) + "\n")


def _pack(job: Job, packer: Tool) -> str:
    """The bitstream; its name in the build directory."""
    job.progress(f"{job.family.packer}: bitstream")
    arguments = job.family.pack_arguments(job.board.device, job.files)
    job.run(packer, arguments, f"{job.family.packer}.log")
    folder = job.build.folder
    write_file(folder / _bitstream(job), (folder / job.files.bitstream).read_bytes())
    return _bitstream(job)


def _bitstream(job: Job) -> str:
    return f"{BITSTREAM}.{job.family.bitstream_suffix}"
