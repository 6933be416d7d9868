"""Frozen values: the graph, the plan and their parts compare by content and go to and from JSON."""

import base64
import builtins
import dataclasses
import enum
import math
import reprlib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

TAG = "_type"
"""Key that names the class of a nested value in JSON (``Value.tag``)."""

ARRAY_TYPES = ("int8", "int16", "int32", "int64", "uint8", "float32", "float64")
LARGEST = 1e300  # any float that is no infinity; NaN is below nothing


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
    def tag(cls) -> str:
        """The name of the class in JSON."""
        return cls.__name__

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a value from ``to_json``. Raises ValueError on anything else.

        The message names the field and what it must be: types are checked down to every number.
        """
        return cls.from_json_with((), data)

    @classmethod
    def from_json_with(cls, kinds: Sequence[type["Value"]], data: dict[str, Any]) -> Self:
        """The same with classes that may stand where a field has their base, told apart by tag."""
        return _decode_value(cls, data, "", tuple(kinds))


_V = typing.TypeVar("_V", bound=Value)
_Kinds = tuple[type[Value], ...]


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
        return {TAG: item.tag(), **item.to_json()}
    if isinstance(item, np.ndarray):
        data = base64.b64encode(item.tobytes()).decode("ascii")
        return {"dtype": str(item.dtype), "shape": list(item.shape), "data": data}
    if isinstance(item, tuple):
        return [_encode(x) for x in item]
    if isinstance(item, enum.Enum):
        return item.value
    return item


def _decode_value(cls: type[_V], data: Any, where: str, kinds: _Kinds) -> _V:
    _need(isinstance(data, dict), where, "an object", data)
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    unknown = sorted(set(data) - {*names, TAG})
    if unknown:
        raise ValueError(f"{where or cls.__name__} has no field {_short(unknown[0])}")
    prefix = f"{where}." if where else ""
    for name in names:
        if name not in data:
            raise ValueError(f"{prefix}{name} is missing")
    fields = {name: _decode(hints[name], data[name], prefix + name, kinds) for name in names}
    try:
        return cls(**fields)
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from error


def _decode(hint: Any, item: Any, where: str, kinds: _Kinds) -> Any:
    """An item of the type that ``hint`` asks for; ``where`` names it in messages."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(args, item, where, kinds)
    if origin is tuple:
        _need(isinstance(item, list), where, "a list", item)
        if len(args) == 2 and args[1] is Ellipsis:
            args = (args[0],) * len(item)
        _need(len(item) == len(args), where, f"a list of {len(args)}", item)
        pairs = enumerate(zip(args, item, strict=True))
        return tuple(_decode(arg, x, f"{where}[{i}]", kinds) for i, (arg, x) in pairs)
    if hint is np.ndarray:
        return _decode_array(item, where)
    if issubclass(hint, Value):
        if choices := [kind for kind in kinds if issubclass(kind, hint)]:
            return _decode_tagged(choices, item, where, kinds)
        return _decode_value(hint, item, where, kinds)
    if issubclass(hint, enum.Enum):
        values = [member.value for member in hint]
        _need(item in values, where, f"one of {', '.join(map(repr, values))}", item)
        return hint(item)
    return _decode_plain(hint, item, where)


def _decode_union(args: tuple[Any, ...], item: Any, where: str, kinds: _Kinds) -> Any:
    """A value or None, or one of several classes by the tag."""
    if item is None and types.NoneType in args:
        return None
    choices = [choice for choice in args if choice is not types.NoneType]
    if len(choices) == 1:
        return _decode(choices[0], item, where, kinds)
    return _decode_tagged(choices, item, where, kinds)


def _decode_tagged(choices: list[type[Value]], item: Any, where: str, kinds: _Kinds) -> Value:
    """One of several classes by the tag."""
    tags = {choice.tag(): choice for choice in choices}
    tag = item.get(TAG) if isinstance(item, dict) else None
    known = isinstance(tag, str) and tag in tags
    _need(known, where, f"an object whose {TAG!r} is one of {', '.join(tags)}", tag or item)
    return _decode_value(tags[str(tag)], item, where, kinds)


def _decode_array(item: Any, where: str) -> np.ndarray:
    whole = isinstance(item, dict) and set(item) == {"dtype", "shape", "data"}
    _need(whole, where, "an object of dtype, shape and data", item)
    dtype, shape, data = item["dtype"], item["shape"], item["data"]
    _need(dtype in ARRAY_TYPES, f"{where}.dtype", f"one of {', '.join(ARRAY_TYPES)}", dtype)
    sizes = isinstance(shape, list) and len(shape) <= 8
    sizes = sizes and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
    _need(sizes, f"{where}.shape", "a list of sizes", shape)
    _need(isinstance(data, str), f"{where}.data", "base64 text", data)
    raw = base64.b64decode(data, validate=True)
    if len(raw) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{where}: {len(raw)} bytes are no {dtype} of shape {shape}")
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def _decode_plain(hint: type, item: Any, where: str) -> Any:
    match hint:
        case builtins.bool:
            _need(type(item) is bool, where, "true or false", item)
        case builtins.int:
            whole = type(item) is int and abs(item) < 1 << 62
            _need(whole, where, "an integer of at most 62 bits", item)
        case builtins.float:
            number = type(item) in (int, float) and abs(item) < LARGEST
            _need(number, where, "a finite number", item)
        case _:
            _need(type(item) is hint, where, f"a {hint.__name__}", item)
    return item


def _need(condition: bool, where: str, what: str, item: Any) -> None:
    if not condition:
        raise ValueError(f"{where or 'the whole'} must be {what}, not {_short(item)}")


def _short(item: Any) -> str:
    """As Python writes it, but never longer than a line."""
    return reprlib.repr(item)
