"""Board files as plain data: of YAML what they need, and nothing that could surprise."""

from pathlib import Path
from typing import Any

import yaml

from weft.errors import ConfigError
from weft.files import regular_size

MAX_BYTES = 1 << 16
MAX_DEPTH = 8
"""Lists and mappings within each other; a board's are three deep."""

MAX_DIGITS = 20


class _Loader(yaml.SafeLoader):
    """Without dates, whose impossible ones are no YAML errors, and with each key only once."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, regexp) for tag, regexp in pairs if not tag.endswith(":timestamp")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key must be a word", key.start_mark)
            if key.value in seen:
                raise _error(f"key {key.value[:80]!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        if len(node.value) > MAX_DIGITS:
            raise _error(f"a number of more than {MAX_DIGITS} digits", node.start_mark)
        try:
            if node.tag.endswith(":int"):
                return self.construct_yaml_int(node)
            return self.construct_yaml_float(node)
        except ValueError:  # "0x_"
            raise _error(f"{node.value!r} is no number", node.start_mark) from None


for kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", _Loader.construct_number)


def read_yaml(path: Path) -> Any:
    """The data in a board file. Raises ConfigError with the line of what is wrong."""
    try:
        size = regular_size(path)
        if size > MAX_BYTES:
            raise ConfigError(f"board file {path} has {size:,} bytes, more than {MAX_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"board file {path} cannot be read: {reason}") from error
    try:
        _check_events(text)
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it cannot be parsed"
        raise ConfigError(f"board file {path}{line}: not valid YAML: {reason}") from error


def _check_events(text: str) -> None:
    """Refuse what builds more than it is long, or nests deeper than a stack, before building."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _error("anchors and aliases are not used in board files", event.start_mark)
        if getattr(event, "tag", None):
            raise _error(f"tag {event.tag[:80]!r} is not used in board files", event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _error(f"it nests more than {MAX_DEPTH} deep", event.start_mark)
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
