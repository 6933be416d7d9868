"""An operator of another form as a few QDQ operators, run one after the other at import."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops.qdq import dequantize_linear, quantize_linear
from weft.nn.onnx.symbols import Codes, Constant, HostInput, Symbol

Handler = Callable[[Node, Builder], Symbol]


@dataclass(kw_only=True)
class Steps:
    """The node that is taken apart. Messages of every step name it, not the step."""

    node: Node
    builder: Builder
    count: int = 0

    def name(self, symbol: Symbol) -> str:
        """A new value's name."""
        self.count += 1
        name = self.builder.names.new(f"{self.node.outputs[0]} (step {self.count})")
        self.builder.symbols[name] = symbol
        return name

    def constant(self, array: Any, dtype: str) -> str:
        """A constant's name."""
        return self.name(Constant(array=np.asarray(array, dtype)))

    def symbol(self, handler: Handler, *inputs: str, **attributes: Any) -> Symbol:
        """What an operator makes of named inputs; without attributes it has the node's own."""
        node = replace(self.node, inputs=inputs)
        if attributes:
            node = replace(node, attributes=attributes)
        return handler(node, self.builder)

    def run(self, handler: Handler, *inputs: str, **attributes: Any) -> str:
        """The same, as a named value."""
        return self.name(self.symbol(handler, *inputs, **attributes))

    def dequantised(self, first: int, axis: int = 1) -> str:
        """DequantizeLinear of three inputs: codes, scale, zero point."""
        names = (self.node.input(first + i) for i in range(3))
        return self.run(dequantize_linear, *names, axis=axis)

    def quantised(self, value: str, scale: str, zero_point: str) -> Symbol:
        """QuantizeLinear to the node's output, of the first codes' type where none is given."""
        zero_point = zero_point or self.constant(0, self.dtype())
        return self.symbol(quantize_linear, value, scale, zero_point, axis=1)

    def dtype(self) -> str:
        """The type of the node's first codes."""
        for name in self.node.inputs:
            match self.builder.symbols.get(name):
                case Codes(tensor=tensor):
                    return self.builder.quantisations[tensor].dtype
                case HostInput(dtype="int8" | "uint8" as dtype):
                    return dtype
        return "uint8"

    def array(self, index: int, what: str) -> np.ndarray:
        """A constant input. Raises ModelError where it is none."""
        name = self.node.input(index)
        value = self.builder.symbols.get(name)
        if not isinstance(value, Constant):
            raise ModelError(
                f"{what} {name!r} is computed at run time",
                remedy="only constants are supported: quantise statically, e.g. with "
                "onnxruntime.quantization.quantize_static",
                at=self.node,
            )
        return value.array
