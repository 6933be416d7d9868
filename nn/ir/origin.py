"""Which node of the user's model something came from."""

from dataclasses import dataclass

from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin(Value):
    """A node of the ONNX model, or of the one that a TFLite file became.

    name: as the model has it, which several nodes may share; op: the operator, with its domain
    where that is not ONNX's own; result: the node's first output, which no other node has.
    """

    name: str
    op: str
    result: str

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"
