"""Collects the graph's parts while an importer walks the ONNX nodes; shared by all importers."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from weft.errors import ModelError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.host_steps import (
    AnyHostStep,
    DequantizeStep,
    QuantizeStep,
    ReshapeStep,
    TransposeStep,
)
from weft.nn.ir.names import Names
from weft.nn.ir.note import Note, NoteKind
from weft.nn.ir.operator import Operator
from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN, Tensor
from weft.nn.onnx.model import Node
from weft.nn.onnx.symbols import (
    NO_CLIP,
    Codes,
    HostInput,
    HostResult,
    Quantisation,
    Real,
    Symbol,
    Unquantised,
    chw,
)
from weft.nn.onnx.views import Shape, axes_of

MAX_CODES = (1 << 23) - 1  # of one activation: beyond the memories of all devices


@dataclass(kw_only=True)
class Builder:
    """The graph so far, and what each ONNX value is (``symbols``)."""

    name: str
    opset: int
    batch: int = 1  # the fixed batch that the model had
    float_runtime: bool = False  # QONNX: nothing between two Quants is ever rounded
    readers: dict[str, list[Node]] = field(default_factory=dict)  # of each ONNX value
    wanted: set[str] = field(default_factory=set)  # the values that anything reads
    symbols: dict[str, Symbol] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    quantisations: dict[str, Quantisation] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)  # codes that can occur
    operators: list[Operator] = field(default_factory=list)
    inputs: list[HostEdge] = field(default_factory=list)
    outputs: list[HostEdge] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    hosts: dict[str, HostInput] = field(default_factory=dict)  # of each input tensor
    unused_inputs: tuple[str, ...] = ()
    names: Names = field(default_factory=Names)  # of the model's values and all tensors
    operator_names: Names = field(default_factory=Names)  # of the model's nodes, too
    derived: dict[Hashable, str] = field(default_factory=dict)  # tensors by what they are
    results: dict[int, tuple[Unquantised, HostResult]] = field(
        default_factory=dict
    )  # by the value's id
    macs: int = 0

    def symbol(self, node: Node, index: int) -> Symbol:
        """What a node's input is. Raises ModelError where it is absent."""
        name = node.input(index)
        if not name:
            raise ModelError(f"input {index} is missing", at=node)
        return self.symbols[name]

    def real(self, node: Node, index: int) -> Real:
        """A node's input as dequantised values. Raises ModelError where it is anything else."""
        name, value = node.input(index), self.symbol(node, index)
        match value:
            case Real() if value.clip == NO_CLIP:
                return value
            case Real() | Unquantised():
                raise ModelError(
                    f"input {name!r} is not quantised: put QuantizeLinear and DequantizeLinear "
                    f"between node {value.origin.name!r} and this one",
                    at=node,
                )
            case HostInput():
                raise ModelError(
                    f"input {name!r} is not quantised: put QuantizeLinear and DequantizeLinear "
                    f"after the model's input {value.name!r}",
                    at=node,
                )
            case HostResult():
                raise ModelError(
                    f"input {name!r} comes from a Softmax or ArgMax, which runs on the host and "
                    "must be at the end of the network",
                    at=node,
                )
            case Codes():
                raise ModelError(
                    f"input {name!r} holds integer codes: put DequantizeLinear before it", at=node
                )
            case _:
                raise ModelError(
                    f"input {name!r} is a constant", remedy="it must be an activation", at=node
                )

    def whole(self, tensor: str, origin: Origin) -> Real:
        """A tensor's values as they are."""
        return Real(tensor=tensor, shape=(1, *self.tensors[tensor].shape), origin=origin)

    def span(self, tensor: str) -> tuple[float, float]:
        """Bounds of a tensor's real values."""
        own = self.quantisations[tensor]
        low, high = ((c - own.code_zero_point) * own.scale for c in self.ranges[tensor])
        return low, high

    def new_tensor(self, name: str, shape: Shape, quantisation: Quantisation, at: object) -> Tensor:
        """A tensor for an ONNX shape; not yet part of the graph. at: for messages."""
        image = chw(shape)
        if image is None:
            raise ModelError(
                f"result of {len(shape)} dimensions {list(shape)}",
                remedy="at most 4 ([N, C, H, W]) are supported",
                at=at,
            )
        if math.prod(image) > MAX_CODES:
            raise ModelError(
                f"tensor {name!r} has {math.prod(image):,} elements {list(shape)}; at most "
                f"{MAX_CODES:,} are supported"
            )
        return Tensor(
            name=name,
            shape=image,
            scale=quantisation.scale,
            zero_point=quantisation.code_zero_point,
        )

    def note(self, origin: Origin, text: str, kind: NoteKind = NoteKind.APPROXIMATION) -> None:
        """Tell the user something about what came of a node."""
        self.notes.append(Note(kind=kind, text=text, node=origin.name))

    def add(
        self,
        origin: Origin,
        operator: Operator,
        output: Tensor,
        quantisation: Quantisation,
        reach: tuple[int, int] | None = None,
    ) -> None:
        """Append an operator together with the tensor it writes, whose name nothing else has.

        origin: the node that it is for. The operator is called after its node, or by a new name
        where others are already. reach: the codes that it can write, where they are fewer than its
        clamp lets through.
        """
        assert output.name not in self.tensors, f"tensor {output.name!r} is made twice"
        name = self.operator_names.hold(operator.name)
        self.operators.append(operator.replace(name=name, origins=(origin,)))
        self.tensors[output.name] = output
        self.quantisations[output.name] = quantisation
        self.ranges[output.name] = reach or (operator.low, operator.high)

    def add_input(self, value: HostInput, quantisation: Quantisation, name: str) -> str:
        """The tensor of a model input, quantised on the host unless it comes as codes.

        name: what it is called if it is new; nothing else may have that name.
        """
        tensor = self.new_tensor(name, value.shape, quantisation, f"input {value.name!r}")
        steps: tuple[AnyHostStep, ...] = ()
        if value.order is not None:
            axes = axes_of(value.order, value.model_shape)
            if axes is None:
                raise ModelError(
                    f"input {value.name!r} is reshaped and transposed before it is used; one "
                    "Transpose of its dimensions behind the batch is supported"
                )
            steps += (TransposeStep(axes=axes),)
            shape = tuple(value.model_shape[axis] for axis in axes[1:])
        else:
            shape = value.model_shape[1:]
        if shape != tensor.shape:
            steps += (ReshapeStep(shape=tensor.shape),)
        if value.dtype == "float":
            steps += (quantize_step(quantisation),)
        dtype = "float32" if value.dtype == "float" else value.dtype
        edge = HostEdge(
            name=value.name, tensor=name, shape=value.model_shape[1:], dtype=dtype, steps=steps
        )
        for other in self.inputs:
            same = self.tensors[other.tensor].replace(name=name) == tensor
            if other.replace(tensor=name) == edge and same:
                return other.tensor
        assert name not in self.tensors, f"tensor {name!r} is made twice"
        self.inputs.append(edge)
        self.hosts[name] = value
        self.tensors[name] = tensor
        self.quantisations[name] = quantisation
        self.ranges[name] = (CODE_MIN, CODE_MAX)
        return name

    def add_output(self, name: str, result: HostResult, dtype: str) -> None:
        """A model output: the tensor's codes, then the host's steps."""
        self.outputs.append(
            HostEdge(
                name=name,
                tensor=result.tensor,
                shape=result.shape[1:],
                dtype=dtype,
                steps=result.steps,
            )
        )

    def host_result(self, value: Real | Codes) -> HostResult:
        """The value as seen by the host: in the model's shape, dequantised where it is real."""
        steps = view_steps(value, (1, *self.tensors[value.tensor].shape))
        if isinstance(value, Real):
            steps += (dequantize_step(self.quantisations[value.tensor]),)
        return HostResult(
            tensor=value.tensor,
            shape=value.shape,
            steps=steps,
            integer=isinstance(value, Codes),
        )


def view_steps(value: Real | Codes | Unquantised, own_shape: Shape) -> tuple[AnyHostStep, ...]:
    """What the host does to see a view of an array [n, *own_shape[1:]]."""
    axes = axes_of(value.order, own_shape)
    if axes is None:
        raise ModelError(
            f"an output of shape {list(value.shape)} is reshaped and transposed in a way that is "
            "not supported; one Transpose behind the last operator is"
        )
    steps: tuple[AnyHostStep, ...] = ()
    if value.order is not None:
        steps += (TransposeStep(axes=axes),)
    if tuple(own_shape[axis] for axis in axes[1:]) != value.shape[1:]:
        steps += (ReshapeStep(shape=value.shape[1:]),)
    return steps


def quantize_step(quantisation: Quantisation) -> QuantizeStep:
    """QuantizeLinear on the host."""
    return QuantizeStep(
        scale=quantisation.scale, zero_point=quantisation.zero_point, dtype=quantisation.dtype
    )


def dequantize_step(quantisation: Quantisation) -> DequantizeStep:
    """DequantizeLinear on the host."""
    return DequantizeStep(
        scale=quantisation.scale, zero_point=quantisation.zero_point, dtype=quantisation.dtype
    )
