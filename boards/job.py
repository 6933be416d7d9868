"""What the stages of a synthesis share."""

from collections.abc import Callable
from dataclasses import dataclass

from weft.boards.board import Board
from weft.boards.build_dir import Build
from weft.boards.families.family import Family, Files
from weft.boards.families.pll import Pll
from weft.boards.toolchain import Tool, run
from weft.boards.top import TOP

FOLDER = "synth"

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One synthesis: the build, its family, the clock that the design gets, seeds and limits."""

    build: Build
    family: Family
    pll: Pll | None
    seed: int
    placements: int
    timeout: float
    progress: Progress

    @property
    def board(self) -> Board:
        """Where it is going to run."""
        return self.build.board

    @property
    def clock_hz(self) -> float:
        """The clock of the design."""
        return self.pll.out_hz if self.pll else float(self.board.clock.hz)

    @property
    def files(self) -> Files:
        """What the tools read and write, relative to the build directory."""
        stem = f"{FOLDER}/{TOP}"
        return Files(
            netlist=f"{stem}.json",
            constraints=f"{stem}.{self.family.constraints_suffix}",
            placed=f"{stem}.{self.family.placed_suffix}",
            report=f"{FOLDER}/nextpnr.json",
            bitstream=f"{stem}.{self.family.bitstream_suffix}",
        )

    def run(self, tool: Tool, arguments: list[str], log: str, own_log: str = "") -> float:
        """Run a tool in the build directory; wall seconds. Raises ToolError."""
        return run(
            tool,
            arguments,
            cwd=self.build.folder,
            log=f"{FOLDER}/{log}",
            own_log=own_log and f"{FOLDER}/{own_log}",
            timeout=self.timeout,
        )
