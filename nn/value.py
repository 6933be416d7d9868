"""Frozen values: the graph, the plan and their parts compare by content and go to and from JSON."""

import base64
import dataclasses
import enum
import types
import typing
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

TAG = "_type"
"""Key that names the class of a nested value in JSON."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """Base of weft's frozen dataclasses.

    Array fields are made read-only. Two values are equal when they are of one type and all their
    fields are equal (arrays: same dtype, shape and elements).
    """

    def __post_init__(self) -> None:
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray):
                frozen = np.ascontiguousarray(array)
                if frozen is array and array.flags.writeable:
                    frozen = array.copy()
                frozen.flags.writeable = False
                object.__setattr__(self, name, frozen)
        self._check()

    def _check(self) -> None:
        """Raise if the fields do not fit together; overridden by each value that has rules."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((type(self), *(repr(f.name) for f in dataclasses.fields(self))))

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed (checked again)."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only; ``from_json`` of the same class is its inverse."""
        return {f.name: _encode(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a value from ``to_json``. Raises KeyError or ValueError on anything else."""
        hints = typing.get_type_hints(cls)
        fields = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(data) - fields)
        if unknown:
            raise ValueError(f"{cls.__name__} has no field {unknown[0]!r}")
        return cls(**{name: _decode(hints[name], data[name]) for name in fields})


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b)
        )
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def _encode(item: Any) -> Any:
    if isinstance(item, Value):
        return {TAG: type(item).__name__, **item.to_json()}
    if isinstance(item, np.ndarray):
        data = base64.b64encode(item.tobytes()).decode("ascii")
        return {"dtype": str(item.dtype), "shape": list(item.shape), "data": data}
    if isinstance(item, tuple):
        return [_encode(x) for x in item]
    if isinstance(item, enum.Enum):
        return item.value
    return item


def _decode(hint: Any, item: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if item is None:
            return None
        choices = [c for c in typing.get_args(hint) if c is not type(None)]
        if len(choices) == 1:
            return _decode(choices[0], item)
        by_name = {c.__name__: c for c in choices}
        return _decode(by_name[item[TAG]], item)
    if origin is tuple:
        args = typing.get_args(hint)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_decode(args[0], x) for x in item)
        return tuple(_decode(a, x) for a, x in zip(args, item, strict=True))
    if hint is np.ndarray:
        raw = base64.b64decode(item["data"])
        return np.frombuffer(raw, dtype=item["dtype"]).reshape(item["shape"])
    if isinstance(hint, type) and issubclass(hint, Value):
        return hint.from_json({k: v for k, v in item.items() if k != TAG})
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(item)
    return item
