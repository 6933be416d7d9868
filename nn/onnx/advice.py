"""What would make a network work whose operator is not supported, as far as it can be said."""

GENERAL = (
    "replace it by supported operators (`weft ops` lists what is supported), or end the model in "
    "front of it"
)

_SIZES = "export with fixed shapes and let onnxruntime or onnxsim fold what becomes constant"
_RECURRENT = "recurrent networks are not supported; unroll it into Gemm, or use convolutions"
_NORM = "train with BatchNormalization instead, which folds into the convolution before it"

ADVICE: dict[str, str] = {
    "ArgMin": "leave it out: take the smallest of the scores on the host",
    "ConstantOfShape": _SIZES,
    "Erf": "a Gelu node, which holds it, is supported: export with opset 20 or later",
    "Exp": "of one activation only HardSwish, Sigmoid, Tanh and the like are supported",
    "Expand": _SIZES,
    "GRU": _RECURRENT,
    "GroupNormalization": _NORM,
    "InstanceNormalization": _NORM,
    "LRN": _NORM,
    "LSTM": _RECURRENT,
    "LayerNormalization": _NORM,
    "LogSoftmax": "leave it out: the largest score is the same without it",
    "LpNormalization": "leave it out: normalise on the host",
    "Max": "between an activation and a constant, use Clip or Relu",
    "Min": "between an activation and a constant, use Clip",
    "Pow": "a square is a product of activations, which is not supported",
    "RNN": _RECURRENT,
    "ReduceMax": "over height and width, use GlobalMaxPool",
    "ReduceSum": "over height and width, use GlobalAveragePool and larger weights behind it",
    "Shape": _SIZES,
    "Upsample": "export with opset 11 or later, which has Resize",
}
"""By ONNX operator."""


def advice(operator: str) -> str:
    """What would work instead of an operator."""
    return ADVICE.get(operator, GENERAL)


def not_supported(operator: str) -> str:
    """That an operator is not supported, and what would work instead."""
    return f"operator {operator} is not supported; {advice(operator)}"
