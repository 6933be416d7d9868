"""The command line's words: what each command takes."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import weft
from weft import limits
from weft.errors import ConfigError

EPILOG = """exit codes: 0 done; 1 model, option or file not usable, or outputs differ;
2 does not fit; 3 an outside tool or a board failed; 70 a fault of weft; 130 interrupted;
141 output closed"""


INPUTS = (
    ".npz with an array of samples for each input, by name; of one input also as x or by its shape "
    "alone. An array labels, the class of each sample, is for top1; others are left alone"
)
OUTPUTS = ".npz for the outputs, by name, and once more the first one as y"
RANGES = ("minmax", "percentile", "mse")
"""``weft.nn.quantise.calibration.METHODS``, whose import takes a second."""
UNITS = ("array", "vector")
"""``weft.machine.engine.Unit``, likewise."""


ARRAY = 16
"""Lanes and columns where a command needs some and has no board to choose them for."""


class Parser(argparse.ArgumentParser):
    """Exits with 1, not argparse's 2, which means "does not fit" here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: error: {message}\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``args.command`` names the one that was given."""
    top = Parser(
        prog="weft", description="Neural-network accelerators for open FPGA tools.", epilog=EPILOG
    )
    top.add_argument("--version", action="version", version=f"weft {weft.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _check(commands.add_parser("check", help="say what of a model is supported, and if it fits"))
    _compile(commands.add_parser("compile", help="make a build directory from an ONNX model"))
    _quantise(commands.add_parser("quantise", help="make an int8 ONNX model from a float one"))
    _compress(commands.add_parser("compress", help="make a model of fewer bits and more zeros"))
    _simulate(commands.add_parser("simulate", help="check a build bit for bit, count cycles"))
    _reference(commands.add_parser("reference", help="run the NumPy reference, float in and out"))
    _synth(commands.add_parser("synth", help="synthesise, place and route, pack a bitstream"))
    _flash(commands.add_parser("flash", help="put the bitstream on the board"))
    _run(commands.add_parser("run", help="inferences on a board, or on a simulated one"))
    _evaluate(commands.add_parser("evaluate", help="accuracy: float, ONNX Runtime, weft, hardware"))
    _report(commands.add_parser("report", help="write report.html, and plan what to change"))
    explain = commands.add_parser("explain", help="cycles and their bound, step by step")
    explain.add_argument("build", type=Path, help="build directory")
    boards = commands.add_parser("boards", help="list the boards")
    ops = commands.add_parser("ops", help="list the ONNX operators that can be imported")
    ops.add_argument("--markdown", action="store_true", help="print docs/operators.md")
    for command in (explain, boards, ops):
        _json(command)
    return top


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="ONNX or TFLite file")
    command.add_argument("--board", help="board name, or path of a board file")
    command.add_argument(
        "--calibrate", type=Path, help=".npz with samples of a float model's inputs"
    )
    _ranges(command)
    _sizes(command)
    command.add_argument(
        "--external-memory",
        action="store_true",
        help="assume memory outside the chip that is never late, and say what it has to give",
    )
    _json(command)


def _sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--lanes", type=number(limits.LANES), help="input channels per word")
    command.add_argument(
        "--columns", type=number(limits.COLUMNS), help="output channels per weight tile"
    )
    command.add_argument(
        "--requant-lanes",
        type=requant_pair,
        metavar="N or N+M",
        help="results requantised per cycle: behind the array and the vector unit",
    )
    command.add_argument(
        "--cycles",
        type=number(limits.CYCLES),
        help="the smallest engine that takes at most so many",
    )


def _compile(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="ONNX or TFLite file")
    command.add_argument("--board", required=True, help="board name, or path of a board file")
    command.add_argument("-o", "--output", type=Path, required=True, help="build directory")
    command.add_argument(
        "--no-simplify", action="store_true", help="keep constant and unused channels"
    )
    command.add_argument(
        "--fixed",
        action="store_true",
        help="no other network can be uploaded: fewer wires, easier to route",
    )
    command.add_argument(
        "--calibrate", type=Path, help=".npz with samples of a float model's inputs: quantise it"
    )
    _ranges(command)
    _sizes(command)
    command.add_argument(
        "--pin",
        type=pin,
        action="append",
        default=[],
        metavar="OPERATOR=UNIT",
        help="run this operator on the array, or on the vector unit (may be given several times)",
    )
    command.add_argument(
        "--plan",
        type=Path,
        help="a plan.json that was edited: check it and build it (docs/plan.md)",
    )
    _json(command)


def _quantise(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="float ONNX file")
    command.add_argument(
        "--calibrate", type=Path, required=True, help=".npz with samples of its inputs"
    )
    command.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    _ranges(command)
    command.add_argument("--samples", type=number(limits.SAMPLES), help="only the first so many")
    _json(command)


def _compress(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="ONNX or TFLite file, quantised, or float ONNX")
    command.add_argument("--data", type=Path, required=True, help=INPUTS)
    command.add_argument("--labels", metavar="NAME", help="array of the data with the classes")
    command.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    command.add_argument(
        "--weight-bits",
        type=weight_bits,
        default=None,
        metavar="auto|N",
        help="of each layer's weights; auto: the least error within the budget (default: auto)",
    )
    command.add_argument(
        "--sparsity",
        default="none",
        metavar="lanes:A/B|N:M|none",
        help="share of weights that may stay: in each lane, for all columns of the array, or N of "
        "each M channels (default: none)",
    )
    command.add_argument(
        "--budget",
        metavar="bits=|bram=|lut=",
        help="what the weights may take: bits=N, bits=N%% of 8 bits each, block RAMs, or LUTs for "
        "multipliers (default of --weight-bits auto: bits=50%%)",
    )
    command.add_argument(
        "--keep-ends", action="store_true", help="8 bits and no zeros in the first and last layer"
    )
    for word, limit in (("lanes", limits.LANES), ("columns", limits.COLUMNS)):
        text = f"of the array that --sparsity and --budget are for (default: {ARRAY})"
        command.add_argument(f"--{word}", type=number(limit), default=ARRAY, help=text)
    command.add_argument(
        "--samples",
        type=number(limits.SAMPLES),
        default=100,
        help="to calibrate with, at most; the others are scored (default: 100)",
    )
    _ranges(command)
    _json(command)


def weight_bits(text: str) -> int | None:
    """A number of bits; ``auto`` is None."""
    try:
        return None if text == "auto" else int(limits.WEIGHT_BITS.parse(text))
    except ConfigError:
        raise argparse.ArgumentTypeError(
            f"must be auto or {limits.WEIGHT_BITS}, not {text[:40]!r}"
        ) from None


def _ranges(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ranges",
        choices=RANGES,
        default=RANGES[0],
        help=f"how a float model's ranges are chosen (default: {RANGES[0]})",
    )


def _simulate(command: argparse.ArgumentParser) -> None:
    command.add_argument("build", type=Path, help="build directory")
    command.add_argument("--inputs", type=Path, help=f"{INPUTS} (default: random codes)")
    command.add_argument(
        "--samples", type=number(limits.SAMPLES), help="how many of them (default: 4)"
    )
    command.add_argument("--trace", type=Path, help="record all signals in this file")
    _json(command)


def _reference(command: argparse.ArgumentParser) -> None:
    command.add_argument("build", type=Path, help="build directory")
    command.add_argument("--inputs", type=Path, required=True, help=INPUTS)
    command.add_argument("-o", "--output", type=Path, required=True, help=OUTPUTS)
    command.add_argument("--samples", type=number(limits.SAMPLES), help="only the first so many")
    _json(command)


def _synth(command: argparse.ArgumentParser) -> None:
    command.add_argument("build", type=Path, help="build directory")
    command.add_argument("--yosys-only", action="store_true", help="stop before place and route")
    command.add_argument(
        "--clock",
        type=number(limits.CLOCK_MHZ),
        metavar="MHZ",
        help="the design's clock (default: the board's own)",
    )
    command.add_argument(
        "--allow-timing-failure",
        action="store_true",
        help="write the bitstream even if the clock is not met",
    )
    command.add_argument(
        "--seed", type=number(limits.SEED), default=1, help="first seed of place and route"
    )
    command.add_argument(
        "--placements",
        type=number(limits.PLACEMENTS),
        default=1,
        metavar="N",
        help="place with N seeds and route the one that looks fastest (default: 1)",
    )
    command.add_argument(
        "--timeout",
        type=number(limits.TIMEOUT),
        default=3600,
        help="seconds for each tool run (default: 3600)",
    )
    _json(command)


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="ONNX or TFLite file, or a build directory")
    command.add_argument(
        "--data",
        type=Path,
        required=True,
        help=INPUTS,
    )
    command.add_argument("--float", type=Path, dest="original", help="the float ONNX network")
    command.add_argument(
        "--int8", type=Path, help="the quantised ONNX file that a build directory was made from"
    )
    command.add_argument(
        "--calibrate", type=Path, help=".npz with samples of a float model's inputs: quantise it"
    )
    _ranges(command)
    command.add_argument("--samples", type=number(limits.SAMPLES), help="only the first so many")
    command.add_argument(
        "--rtl",
        type=number(limits.SAMPLES),
        metavar="N",
        help="simulate the first N samples in the hardware of the build directory, too",
    )
    _json(command)


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument("build", type=Path, help="build directory")
    command.add_argument(
        "--seconds",
        type=number(limits.TIMEOUT),
        default=60,
        help="no further alternative is planned after so many (default: 60)",
    )
    _json(command)


def _flash(command: argparse.ArgumentParser) -> None:
    command.add_argument("build", type=Path, help="build directory")
    command.add_argument("--dry-run", action="store_true", help="print the command, run nothing")
    _json(command)


def _run(command: argparse.ArgumentParser) -> None:
    command.add_argument("build", type=Path, help="build directory")
    command.add_argument(
        "--port",
        required=True,
        help='serial port of the board; "sim" for a simulated one, "netlist" for the simulated '
        "netlist of the last weft synth",
    )
    command.add_argument("--inputs", type=Path, required=True, help=INPUTS)
    command.add_argument("-o", "--output", type=Path, help=OUTPUTS)
    command.add_argument("--samples", type=number(limits.SAMPLES), help="only the first so many")
    command.add_argument(
        "--check", action="store_true", help="compare the outputs with the reference, bit for bit"
    )
    command.add_argument(
        "--baud", type=number(limits.BAUD), help="bits per second (default: the bitstream's)"
    )
    command.add_argument(
        "--upload",
        action="store_true",
        help="write the memory images first, even if the bitstream has them",
    )
    _json(command)


def requant_pair(text: str) -> tuple[int, int]:
    """``8`` or ``8+2``: lanes of the array's and the vector unit's output path."""
    array, plus, vector = text.partition("+")
    limit = limits.REQUANT_LANES
    try:
        return int(limit.parse(array)), int(limit.parse(vector if plus else array))
    except ConfigError:
        raise argparse.ArgumentTypeError(
            f"must be {limit}, or two as in 8+2, not {text[:40]!r}"
        ) from None


def pin(text: str) -> tuple[str, str]:
    """``conv1=array``: an operator's name and the unit that it shall run on."""
    name, _, unit = text.rpartition("=")
    if not name or unit not in UNITS:
        raise argparse.ArgumentTypeError(
            f"must be OPERATOR=array or OPERATOR=vector, not {text[:80]!r}"
        )
    return name, unit


def number(limit: limits.Limit) -> Callable[[str], float]:
    """How argparse reads a number within limits."""

    def parse(text: str) -> float:
        try:
            return limit.parse(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse
