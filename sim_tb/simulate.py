"""The simulated design as a function: jobs in, results out, many per process."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cocotb_tools.runner import get_runner

from weft.nn.errors import ToolError
from weft.sim_tb.job import Job, JobResult, read_result, write_job
from weft.sim_tb.toolchain import Toolchain, find_toolchain, tool_environment
from weft.sim_tb.verilator import TOP, Build, build, log_extract

# Verilator only warns where $readmemh finds no file or a short one, and goes on with zeros.
_WARNING = re.compile(r"^%(Warning|Error)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A ``weft_top`` in Verilator. Not for several threads at a time.

    sources: its Verilog files, in order; lanes: K. workdir: for everything that is written (a
    cache may be elsewhere). image_dir: the folder that the design's $readmemh finds as
    ``images/``. trace: record all signals of a run in ``trace_path`` (slow, large). cache: where
    binaries are kept, default ``workdir/cache``; simulators and processes may share one.
    """

    sources: tuple[Path, ...]
    lanes: int
    workdir: Path
    image_dir: Path | None = None
    trace: bool = False
    cache: Path | None = None

    @cached_property
    def tools(self) -> Toolchain:
        """The tools in use. Raises ToolError if one is missing."""
        return find_toolchain()

    @property
    def run_dir(self) -> Path:
        """Where the last run's files are: stimulus, results, ``simulation.log``."""
        return self.workdir.absolute() / "run"

    @property
    def trace_path(self) -> Path:
        """The signal trace of the last run: FST, or VCD where lz4's headers are missing."""
        return self.run_dir / ("trace.fst" if self.tools.fst else "trace.vcd")

    def build(self) -> Path:
        """Build the binary unless it is there; returns its folder. Raises ToolError."""
        spec = Build(sources=tuple(self.sources), lanes=self.lanes, trace=self.trace)
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
        self._prepare(jobs)
        self._launch(binary_dir)
        statuses = json.loads((self.run_dir / "results.json").read_text())
        return [
            read_result(job, index, self.run_dir, status)
            for index, (job, status) in enumerate(zip(jobs, statuses, strict=True))
        ]

    def _prepare(self, jobs: Sequence[Job]) -> None:
        """An empty run directory with the stimulus of all jobs."""
        shutil.rmtree(self.run_dir, ignore_errors=True)
        self.run_dir.mkdir(parents=True)
        if self.image_dir is not None:
            (self.run_dir / "images").symlink_to(self.image_dir.absolute())
        signals = [write_job(job, index, self.run_dir) for index, job in enumerate(jobs)]
        (self.run_dir / "jobs.json").write_text(json.dumps(signals))

    def _launch(self, binary_dir: Path) -> None:
        log, code = self.run_dir / "simulation.log", ""
        try:
            with tool_environment(dict(self.tools.environment)):
                get_runner("verilator").test(
                    test_module="weft.sim_tb.bench",
                    hdl_toplevel=TOP,
                    hdl_toplevel_lang="verilog",
                    build_dir=binary_dir,
                    test_dir=self.run_dir,
                    results_xml=str(self.run_dir / "results.xml"),
                    test_args=["--trace-file", self.trace_path.name] if self.trace else [],
                    waves=self.trace,
                    seed=0,
                    log_file=log,
                )
        except (RuntimeError, SystemExit) as error:
            code = f" ({error})"
        results = self.run_dir / "results.json"
        if code or not results.is_file() or _WARNING.search(log.read_text(errors="replace")):
            raise ToolError(
                f"the simulation {binary_dir / TOP} failed{code}; log: {log}\n{log_extract(log)}"
            )
        for index, status in enumerate(json.loads(results.read_text())):
            if status["bad_file"]:
                raise ToolError(
                    f"the simulation could not read or write job {index}'s files in {self.run_dir}"
                )
