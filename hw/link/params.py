"""What a link must know of its core."""

from dataclasses import dataclass

from weft.hw.core import CoreParams
from weft.hw.link.protocol import HASH_BYTES, IMAGE_BYTES, MAX_PAYLOAD, Frames


@dataclass(frozen=True, kw_only=True)
class LinkParams(CoreParams):
    """The core's side of a link. identity: by which a host recognises the design."""

    identity: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lanes > MAX_PAYLOAD:
            raise ValueError(f"lanes must be {MAX_PAYLOAD} or less, not {self.lanes!r}")
        if len(self.identity) != HASH_BYTES:
            raise ValueError(f"identity must have {HASH_BYTES} bytes, not {len(self.identity)}")

    @property
    def word_bytes(self) -> int:
        """Bytes of the register that holds an input word, an output word or an image write."""
        return max(self.lanes, IMAGE_BYTES)

    @property
    def inputs(self) -> Frames:
        """How the input words travel."""
        return Frames(lanes=self.lanes, n_words=self.n_in)

    @property
    def outputs(self) -> Frames:
        """How the output words travel."""
        return Frames(lanes=self.lanes, n_words=self.n_out)
