"""The simulated design as a function: jobs in, results out, many per process."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from cocotb_tools.runner import get_runner

from weft.errors import ConfigError, ToolError
from weft.gen.output import output_file
from weft.gen.process import libraries_tools
from weft.sim_tb.job import Job, JobResult, read_result, write_job
from weft.sim_tb.run_folder import run_folder
from weft.sim_tb.toolchain import Toolchain, find_toolchain, tool_environment
from weft.sim_tb.verilator import TOP, Build, build, log_extract

# Verilator only warns where $readmemh finds no file or a short one, and goes on with zeros.
_WARNING = re.compile(r"^%(Warning|Error)", re.MULTILINE)


RESULTS = "results.json"


def trace_format(path: Path | None, tools: Toolchain) -> Literal["", "fst", "vcd"]:
    """What a trace's name asks for: FST or VCD by its suffix; by another one what is at hand.

    Raises ConfigError for an FST file where it cannot be made.
    """
    if path is None:
        return ""
    suffix = path.suffix.lower()
    if suffix == ".fst" and not tools.fst:
        raise ConfigError(
            f"{path}: FST traces need the headers of lz4 and zlib (on Debian or Ubuntu: apt "
            "install liblz4-dev zlib1g-dev); name the file .vcd for the other format"
        )
    return "vcd" if suffix == ".vcd" or not tools.fst else "fst"


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A ``weft_top`` in Verilator. Not for several threads at a time.

    sources: its Verilog files, in order; lanes: K. workdir: for everything that is written (a
    cache may be elsewhere). image_dir: the folder that the design's $readmemh finds as
    ``images/``. trace: the file for all signals of a run (slow, large), see ``trace_format``.
    cache: where binaries are kept, default ``workdir/cache``; simulators and processes may share
    both folders.
    """

    sources: tuple[Path, ...]
    lanes: int
    workdir: Path
    image_dir: Path | None = None
    trace: Path | None = None
    cache: Path | None = None

    @cached_property
    def tools(self) -> Toolchain:
        """The tools in use. Raises ToolError if one is missing."""
        return find_toolchain()

    def build(self) -> Path:
        """Build the binary unless it is there; returns its folder. Raises ToolError."""
        trace = trace_format(self.trace, self.tools)
        spec = Build(sources=tuple(self.sources), lanes=self.lanes, trace=trace)
        return build(spec, self.tools, self.cache or self.workdir / "cache")

    def run(self, jobs: Sequence[Job]) -> list[JobResult]:
        """Run all jobs, in order, in one process; the design is not reset between them.

        A job that times out or breaks the protocol says so in its result (after a timeout the
        design is reset). Raises ToolError if the build or the simulator itself fails.
        """
        for index, job in enumerate(jobs):
            if job.inputs.shape[2] != self.lanes:
                raise ValueError(
                    f"job {index} has words of {job.inputs.shape[2]} lanes, not {self.lanes}"
                )
        if not jobs:
            return []
        binary_dir = self.build()
        with run_folder(self.workdir.absolute()) as folder:
            self._prepare(jobs, folder)
            self._launch(binary_dir, folder)
            if self.trace is not None:
                with output_file(self.trace) as draft:
                    shutil.move(folder / self._trace_name, draft)
            statuses = json.loads((folder / RESULTS).read_text())
            return [
                read_result(job, index, folder, status)
                for index, (job, status) in enumerate(zip(jobs, statuses, strict=True))
            ]

    @property
    def _trace_name(self) -> str:
        return f"trace.{trace_format(self.trace, self.tools)}"

    def _prepare(self, jobs: Sequence[Job], folder: Path) -> None:
        """The stimulus of all jobs."""
        if self.image_dir is not None:
            (folder / "images").symlink_to(self.image_dir.absolute())
        signals = [write_job(job, index, folder) for index, job in enumerate(jobs)]
        (folder / "jobs.json").write_text(json.dumps(signals))

    def _launch(self, binary_dir: Path, folder: Path) -> None:
        log, code = folder / "simulation.log", ""
        try:
            with tool_environment(dict(self.tools.environment)), libraries_tools():
                get_runner("verilator").test(
                    test_module="weft.sim_tb.bench",
                    hdl_toplevel=TOP,
                    hdl_toplevel_lang="verilog",
                    build_dir=binary_dir,
                    test_dir=folder,
                    results_xml=str(folder / "results.xml"),
                    test_args=["--trace-file", self._trace_name] if self.trace else [],
                    waves=self.trace is not None,
                    seed=0,
                    log_file=log,
                )
        except (RuntimeError, SystemExit) as error:
            code = f" ({error})"
        results = folder / RESULTS
        if code or not results.is_file() or _WARNING.search(log.read_text(errors="replace")):
            raise ToolError(
                f"the simulation {binary_dir / TOP} failed{code}; log: {log}\n{log_extract(log)}"
            )
        for index, status in enumerate(json.loads(results.read_text())):
            if status["bad_file"]:
                raise ToolError(
                    f"the simulation could not read or write job {index}'s files in {folder}"
                )
