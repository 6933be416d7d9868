"""Score weft with the backend tests that the onnx package brings: docs/onnx_backend.md.

    python bench/onnx_backend.py [-o FILE]

ONNX's own runner makes and judges the tests; this script only counts. A test whose model weft does
not take is skipped with weft's own message. Exits with 1 where a test fails.
"""

import argparse
import re
import sys
import unittest
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import BackendRep

import weft.backend
from weft.errors import WeftError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx_backend.md"

REASONS = (
    (r": not supported: ", "operators that weft does not have"),
    (r": a float model; ", "float arithmetic: weft computes in integers"),
    (r"is not a tensor$", "sequences, maps and optional values"),
    (r"names no ONNX opset|: opset \d ", "opsets below 10, or none of ONNX's own"),
    (r"\(Cast\): attribute 'to'", "Cast to a type that constants cannot have"),
    (r"type float[48]|type float16", "floats of 4, 8 and 16 bits"),
    (r"'block_size'", "scales per block"),
    (r"\(Resize\): (mode|antialias)", "Resize of floats by more than the nearest element"),
    (r"\(Dropout\)", "Dropout in training, or its mask"),
    (r"\((Add|Sub|Mul|Div)\)", "integers added or multiplied without scales"),
)

TOP = """# ONNX's backend tests

Made by `python bench/onnx_backend.py` with the tests in the onnx {version} package. `weft.backend`
implements `onnx.backend.base`; ONNX's own runner feeds it each test's model and compares the
outputs.

    import onnx, weft.backend
    prepared = weft.backend.prepare(onnx.load("examples/digits/digits.onnx"))
    (scores,) = prepared.run([images])

| | tests |
|---|---|
| passed | {passed} |
| failed | {failed} |
| skipped | {skipped} |

Most of ONNX is float arithmetic, or operators that a quantised network does not need, so most tests
are skipped. Those that pass are run by

| | tests | what that is |
|---|---|---|
| reference | {reference} | imported as a network, on the integer reference that hardware equals |
| host | {host} | what the host does in front of and behind the accelerator |
| folded | {folded} | the importer's folding of constants, the inputs being taken as such |

Many tests have scales, weights and shapes as inputs, which weft needs as constants: it imports such
a model at each run, with their values. Around a lone ConvInteger, MatMulInteger or MaxPool of codes
the backend puts the Cast or the scale of 1 that makes it a network; products of stacks of matrices
are run one pair after the other; float16 scales of QLinearMatMul are widened to float32.
`prepare(model, board="ulx3s-85f")` checks each run on the Verilated design as well; the figures
here are without it. Models that would have to be downloaded ({real}, all float) are not run.

## Skipped

| reason | tests |
|---|---|
"""


@dataclass
class Score(unittest.TestResult):
    """What became of each test. Only the CPU's are counted: the others are the same once more."""

    passed: dict[str, str] = field(default_factory=dict)  # name -> what ran it
    reasons: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.passed[_name(test)] = Scored.where

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.reasons[_name(test)] = reason

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.failed[_name(test)] = f"{err[0].__name__}: {err[1]}".splitlines()[0]

    addError = addFailure


class Scored(weft.backend.Backend):
    """weft's backend; what it refuses is a skipped test."""

    where = ""  # of the last run

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        return True  # prepare says why it is not

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> Any:
        try:
            return Run(super().prepare(model, device))
        except WeftError as error:
            raise unittest.SkipTest(str(error)) from error


class Run(BackendRep):
    """A prepared model; what its values make impossible is a skipped test, too."""

    def __init__(self, prepared: weft.backend.Prepared) -> None:
        self.prepared = prepared

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        try:
            outputs = self.prepared.run(inputs)
        except WeftError as error:
            raise unittest.SkipTest(str(error)) from error
        Scored.where = self.prepared.where
        return outputs


def _name(test: unittest.TestCase) -> str:
    return test.id().rpartition(".")[2].removesuffix("_cpu")


def score() -> tuple[Score, int]:
    """All tests that are in the package; and how many there are that would be downloaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from computing the tests' own expected values
        from onnx.backend.test import BackendTest

        cases = BackendTest(Scored, __name__).test_cases
        real = [
            name for name in dir(cases.pop("OnnxBackendRealModelTest")) if name.endswith("_cpu")
        ]
        result = Score()
        for case in cases.values():
            for name in unittest.defaultTestLoader.getTestCaseNames(case):
                if name.endswith("_cpu"):
                    case(name).run(result)
    return result, len(real)


def group(reason: str) -> str:
    """The row of the table that a reason belongs to."""
    return next((row for pattern, row in REASONS if re.search(pattern, reason)), "others")


def page(result: Score, real: int) -> str:
    """The page, as Markdown."""
    where = Counter(result.passed.values())
    figures = {name: where[name] for name in ("reference", "host", "folded")}
    text = TOP.format(
        version=onnx.__version__,
        passed=len(result.passed),
        failed=len(result.failed),
        skipped=len(result.reasons),
        real=real,
        **figures,
    )
    groups = Counter(group(reason) for reason in result.reasons.values())
    text += "".join(f"| {row} | {count} |\n" for row, count in groups.most_common())
    text += "\nThe tests of operators that weft has, but not in this form, with its message:\n\n"
    ours = {k: v for k, v in sorted(result.reasons.items()) if _is_form(v)}
    text += "| test | message |\n|---|---|\n"
    text += "".join(f"| {name} | {reason} |\n" for name, reason in ours.items())
    text += "\n## Passed\n"
    for name in figures:
        names = sorted(
            test.removeprefix("test_") for test, by in result.passed.items() if by == name
        )
        text += f"\n{name}: {', '.join(names)}\n"
    return text


def _is_form(reason: str) -> bool:
    """Whether an operator that weft has was refused for how it is used."""
    return reason.startswith("node ") and "(Cast)" not in reason


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=PAGE, help="file to write")
    args = parser.parse_args()
    result, real = score()
    args.output.write_text(page(result, real), "utf-8")
    print(f"passed {len(result.passed)}, failed {len(result.failed)}, ", end="")
    print(f"skipped {len(result.reasons)}")
    for name, reason in result.failed.items():
        print(f"{name}: {reason}")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
