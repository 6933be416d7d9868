"""Tensors of a model over many samples, computed by ONNX Runtime as the file stands."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx

from weft.nn.quantise.runtime import batch_of, run

CHUNK = 16  # samples whose tensors are in memory at one time


def chunks(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> Iterator[list[np.ndarray]]:
    """Tensors [n, ...] by name, some samples at a time, in order.

    inputs: [n, ...] for every input of the model. A fixed batch of one is freed where the model
    lets it; of a larger one the last samples are repeated and cut off again.
    """
    part = pruned(model, wanted)
    free_batch(part)
    read = {item.name for item in part.graph.input}
    given = {name: array for name, array in inputs.items() if name in read}
    size = batch_of(part, given)
    if size is not None:
        part = pruned(model, wanted)
        size = batch_of(part, given) or 1
    count, step = len(next(iter(given.values()))), size or CHUNK
    for first in range(0, count, step):
        places = np.arange(first, min(first + step, count))
        fed = np.pad(places, (0, step - len(places)), mode="edge") if size else places
        found = run(part, wanted, {name: array[fed] for name, array in given.items()})
        yield [array[: len(places)] for array in found]


def tensors(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> list[np.ndarray]:
    """The same for all samples together."""
    parts = list(chunks(model, inputs, wanted))
    return [np.concatenate(some) for some in zip(*parts, strict=True)]


def pruned(model: onnx.ModelProto, wanted: Sequence[str]) -> onnx.ModelProto:
    """A copy with the nodes, constants and inputs that some tensors depend on."""
    needed, kept = set(wanted), []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = model.graph.name or "model"
    part.graph.node.extend(reversed(kept))
    for target, items in (
        (part.graph.input, model.graph.input),
        (part.graph.initializer, model.graph.initializer),
    ):
        target.extend(item for item in items if item.name in needed)  # pyright: ignore[reportArgumentType]
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted))
    return part


def free_batch(model: onnx.ModelProto) -> None:
    """Leave the inputs' batch free where it is one; shapes that follow from it are forgotten."""
    fixed = {item.name for item in model.graph.initializer}
    for item in model.graph.input:
        dims = item.type.tensor_type.shape.dim
        if item.name not in fixed and dims and dims[0].dim_value == 1:
            dims[0].dim_param = "batch"
