"""Files of the user's and of build directories, read with limits: no hang, no flood of memory."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from weft.errors import ConfigError

MAX_JSON_BYTES = 1 << 28
MAX_JSON_ITEMS = 1_000_000
"""Numbers, texts, lists and objects of a JSON file: a plan of 1,000 steps has 100,000."""


def regular_size(path: Path) -> int:
    """Bytes of a regular file. Raises OSError for anything else: a pipe would never end."""
    info = path.stat()
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return info.st_size


def network_name(path: Path) -> str:
    """What a model is called after its file: text, also where the file's name is none."""
    return path.stem.encode("utf-8", "backslashreplace").decode("utf-8")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a build directory. Raises ConfigError."""
    try:
        data = _parsed(path)
    except RecursionError as error:
        raise ConfigError(f"{path} cannot be read: it is nested too deeply; {AGAIN}") from error
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{path} cannot be read: {reason}; {AGAIN}") from error
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read: {error}; {AGAIN}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a JSON object; {AGAIN}")
    return data


AGAIN = "compile the model again"


def _parsed(path: Path) -> Any:
    size = regular_size(path)
    if size > MAX_JSON_BYTES:
        raise ValueError(f"it has {size:,} bytes, more than {MAX_JSON_BYTES:,}")
    text = path.read_text(encoding="utf-8")
    if sum(text.count(mark) for mark in ",[{") > MAX_JSON_ITEMS:
        raise ValueError(f"it has more than {MAX_JSON_ITEMS:,} items")
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} stands twice in one object")
    return made
