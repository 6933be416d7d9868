"""QONNX models in float, by ONNX's reference evaluator and the operators' definitions."""

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

DOMAIN = "qonnx.custom_op.general"
ROUND: Any = {"ROUND": np.rint, "FLOOR": np.floor, "CEIL": np.ceil}


def _bounds(bits: float, signed: int, narrow: int) -> tuple[float, float]:
    if signed:
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - narrow


class Quant(OpRun):
    """x to the nearest of the codes, and back."""

    op_domain = DOMAIN

    def _run(self, x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
        low, high = _bounds(float(bits), signed, narrow)
        codes = ROUND[rounding_mode.upper()](np.clip(x / scale + zero, low, high))
        return (((codes - zero) * scale).astype(np.float32),)


class BipolarQuant(OpRun):
    """+scale or -scale."""

    op_domain = DOMAIN

    def _run(self, x, scale):
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)


class Trunc(OpRun):
    """Codes of one step to codes of a coarser one."""

    op_domain = DOMAIN

    def _run(self, x, scale, zero, bits_in, *more, signed=1, narrow=0, rounding_mode="FLOOR"):
        codes = np.rint(x / scale + zero)
        if len(more) == 1:  # version 1: the result counts the step that was given
            codes = ROUND[rounding_mode.upper()](codes / 2.0 ** (bits_in - more[0]))
            return (((codes - zero) * scale).astype(np.float32),)
        ratio = 2.0 ** np.rint(np.log2(more[0] / scale))
        low, high = _bounds(float(more[1]), signed, narrow)
        codes = ROUND[rounding_mode.upper()](np.clip(codes / ratio, low, high))
        return (((codes - zero / ratio) * more[0]).astype(np.float32),)


def run_qonnx(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The model's only output, one sample at a time where the batch is 1."""
    evaluator = ReferenceEvaluator(model, new_ops=[Quant, BipolarQuant, Trunc])
    name = model.graph.input[0].name
    results: list[Any] = [evaluator.run(None, {name: x[i : i + 1]}) for i in range(len(x))]
    return np.concatenate([np.asarray(result[0]) for result in results])
