"""A whole build in simulation: its outputs against the reference, its cycles against the plan."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft import limits
from weft.errors import ToolError, counted
from weft.gen.build_dir import Build
from weft.gen.data import load_inputs, random_inputs
from weft.gen.hardware import IMAGE_DIR
from weft.gen.labels import Labels, load_labels
from weft.gen.locks import using
from weft.gen.output import check_file
from weft.machine import timing
from weft.machine.encode import uploads
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.nn.ir.host import decode, encode
from weft.nn.ir.reference import run
from weft.sim_tb.compare import compare
from weft.sim_tb.job import Job, JobResult
from weft.sim_tb.simulate import Simulator, trace_format
from weft.sim_tb.verilator import BUILDING
from weft.value import Value

DEFAULT_SAMPLES = 4
FOLDER = "sim"


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(Value):
    """What a simulation of S samples showed; cycles are those of one inference."""

    samples: int
    mismatches: int
    cycles: int
    predicted_cycles: int
    load_cycles: int
    read_cycles: int
    macs: int
    multipliers: int
    differences: tuple[str, ...]
    top1: float | None = None  # share of right labels, where the data have labels

    @property
    def bit_exact(self) -> bool:
        """Whether every output code equals the reference's."""
        return self.mismatches == 0

    @property
    def ok(self) -> bool:
        """Bit-exact, and exactly as many cycles as predicted."""
        return not self.differences

    def figures(self) -> dict[str, Any]:
        """The figures as plain data, in the order of docs and reports."""
        return {
            "bit_exact": self.bit_exact,
            "samples": self.samples,
            "mismatches": self.mismatches,
            "cycles": self.cycles,
            "predicted_cycles": self.predicted_cycles,
            "load_cycles": self.load_cycles,
            "read_cycles": self.read_cycles,
            "macs": self.macs,
            "multipliers": self.multipliers,
            "mac_utilisation": round(self.macs / (self.cycles * self.multipliers), 4),
            **({} if self.top1 is None else {"top1": self.top1}),
        }


def simulate(
    build: Build,
    *,
    inputs: Path | None = None,
    samples: int | None = None,
    trace: Path | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Result:
    """Run samples from a file (or random codes) through the Verilated design of a build.

    The images are the baked ones, as in a bitstream. Raises ConfigError and ToolError.
    """
    if trace is not None:
        check_file(trace, [*build.files, *([] if inputs is None else [inputs])])
    with using(build.folder):
        return _simulate(build, inputs, samples, trace, progress)


def _simulate(
    build: Build,
    inputs: Path | None,
    samples: int | None,
    trace: Path | None,
    progress: Callable[[str], None],
) -> Result:
    if inputs is None:
        limits.SAMPLES.check(samples)
        codes = random_inputs(build.graph, samples or DEFAULT_SAMPLES)
    else:
        arrays = load_inputs(inputs, build.graph, samples)
        if samples is None:
            arrays = {name: array[:DEFAULT_SAMPLES] for name, array in arrays.items()}
        codes = {edge.tensor: encode(edge, arrays[edge.name]) for edge in build.graph.inputs}
    result = run_codes(build, codes, trace=trace, progress=progress)
    labels = load_labels(inputs, build.graph, len(result.outputs))
    if labels.problem:
        progress(f"labels are not used: {labels.problem}")
    return _result(build, codes, result, labels)


def run_codes(
    build: Build,
    codes: dict[str, np.ndarray],
    *,
    trace: Path | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> JobResult:
    """What the Verilated design makes of codes int8 [n, C, H, W] by input tensor.

    Raises ConfigError and ToolError.
    """
    plan = build.plan
    simulator = Simulator(
        sources=tuple(build.sources),
        lanes=plan.engine.lanes,
        workdir=build.folder / FOLDER,
        image_dir=build.folder / IMAGE_DIR,
        trace=trace,
    )
    progress(BUILDING)
    simulator.build()
    words = pack_inputs(plan.inputs, codes, plan.engine.lanes)
    predicted = timing.cycles(plan)
    budget = 2 * (predicted + 8 * (plan.inputs.words + plan.outputs.words)) + 1000
    progress(f"simulating {counted(len(words), 'sample')} of {predicted:,} cycles")
    job = Job(images=uploads(plan), inputs=words, n_out=plan.outputs.words, max_cycles=budget)
    (result,) = simulator.run([job])
    if result.fault:
        raise ToolError(f"the simulated design did not finish: {result.fault}")
    if trace is not None:
        progress(f"signals: {trace} ({trace_format(trace, simulator.tools).upper()})")
    return result


def output_codes(build: Build, result: JobResult) -> dict[str, np.ndarray]:
    """Codes int8 [n, C, H, W] of the graph's output tensors."""
    actual = unpack_outputs(build.plan.outputs, result.outputs)
    # An output that only copies an input has a name of its own in the plan.
    ports = zip(build.plan.outputs.ports, build.graph.outputs, strict=True)
    return {edge.tensor: actual[port.edge.tensor] for port, edge in ports}


def _result(
    build: Build, codes: dict[str, np.ndarray], result: JobResult, labels: Labels
) -> Result:
    """Compare outputs with the reference and cycles with the prediction."""
    plan = build.plan
    predicted = timing.cycles(plan)
    expected = run(build.graph, codes)
    actual = output_codes(build, result)
    comparisons = [compare(name, expected[name], actual[name]) for name in actual]
    differences = [str(c) for c in comparisons if not c.bit_exact]
    counts = np.unique(np.concatenate([result.cycles, result.busy_cycles])).tolist()
    if counts != [predicted]:
        differences.append(f"cycles: predicted {predicted}, counted {counts}")
    first = build.graph.outputs[0]
    return Result(
        samples=len(result.outputs),
        mismatches=sum(c.n_mismatches for c in comparisons),
        cycles=max(counts),
        predicted_cycles=predicted,
        load_cycles=int(result.load_cycles.max()),
        read_cycles=int(result.read_cycles.max()),
        macs=plan.macs,
        multipliers=plan.engine.multipliers,
        differences=tuple(differences),
        top1=labels.top1(decode(first, actual[first.tensor])),
    )
