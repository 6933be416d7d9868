"""Which weights of a layer may be zero together: patterns that engines make use of."""

import re
from dataclasses import dataclass

import numpy as np

from weft.errors import ConfigError
from weft.nn.compress.layers import Layer

WORDS = "none, lanes:A/B as in lanes:1/2, or N:M as in 2:4"
_SHARE = re.compile(r"lanes:(\d{1,4})/(\d{1,4})")
_BLOCK = re.compile(r"(\d{1,3}):(\d{1,3})")


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """``kept`` of each ``of`` weights stay.

    lanes: None for N:M, of each M channels in a row, output by output. Else the lanes and columns
    of an array whose lanes each keep that share of their (tap, word) entries, the same ones for all
    outputs of a tile.
    """

    kept: int
    of: int
    lanes: int | None = None
    columns: int = 1

    def __str__(self) -> str:
        return f"{self.kept}:{self.of}" if self.lanes is None else f"lanes:{self.kept}/{self.of}"

    def classes(self, layer: Layer) -> "Classes":
        """How a layer's inputs fall into classes."""
        channel = np.tile(np.arange(layer.channels), layer.taps)
        tap = np.repeat(np.arange(layer.taps), layer.channels)
        if self.lanes is None:
            blocks = -(-layer.channels // self.of)
            return Classes(of=tap * blocks + channel // self.of, kept=self.kept, sharing=1)
        entries = layer.taps * -(-layer.channels // self.lanes)
        kept = max(1, round(entries * self.kept / self.of))
        return Classes(of=channel % self.lanes, kept=kept, sharing=self.columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """of: the class of each input, int64 [inputs]; kept: how many of each class stay, at most.

    sharing: outputs that have the same zeros.
    """

    of: np.ndarray
    kept: int
    sharing: int

    @property
    def largest(self) -> int:
        """Inputs of the largest class."""
        return int(np.bincount(self.of).max())

    def strongest(self, inputs: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
        """The ``count`` inputs of the highest score in each class, of some inputs, in order."""
        order = np.lexsort((-scores, self.of[inputs]))
        own = self.of[inputs][order]
        begins = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
        rank = np.arange(len(own)) - np.repeat(begins, np.diff(np.r_[begins, len(own)]))
        return np.sort(inputs[order[rank < count]])


def pattern(text: str, lanes: int, columns: int) -> Pattern | None:
    """The pattern that a word names; None for ``none``. Raises ConfigError."""
    if text == "none":
        return None
    if found := _SHARE.fullmatch(text):
        kept, of = (int(part) for part in found.groups())
        if 0 < kept <= of:
            return Pattern(kept=kept, of=of, lanes=lanes, columns=columns)
    elif found := _BLOCK.fullmatch(text):
        kept, of = (int(part) for part in found.groups())
        if 0 < kept <= of:
            return Pattern(kept=kept, of=of)
    raise ConfigError(f"sparsity must be {WORDS}, not {text[:40]!r}")
