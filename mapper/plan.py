"""The plan: where and when every operator runs. It alone is enough to generate, predict and run."""

import enum
import math
from dataclasses import dataclass

import numpy as np

from weft.mapper.target import Target
from weft.nn.graph import HostEdge
from weft.nn.value import Value


class Unit(enum.Enum):
    """Datapath of a step."""

    ARRAY = "array"
    VECTOR = "vector"


class VectorOp(enum.Enum):
    """What the vector unit does with each word of a tile."""

    MAC = "mac"
    SUM = "sum"
    MAX = "max"
    PAIR = "pair"


class Style(enum.Enum):
    """What multipliers are built from."""

    DSP = "dsp"
    LUT = "lut"


@dataclass(frozen=True, kw_only=True, eq=False)
class Memories(Value):
    """Depths in words: activations (K bytes), weight tiles (K x N), vector weights (K), parameters
    (R channels), program (36 bits)."""

    act: int
    weight: int
    vector: int
    param: int
    program: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Engine(Value):
    """One sequenced datapath: K lanes, N columns, R requantisation lanes and its memories."""

    lanes: int
    columns: int
    requant_lanes: int
    accumulator_bits: int
    weight_bits: int
    array_multiplier: Style
    vector_multiplier: Style
    requant_multiplier: Style
    memories: Memories

    @property
    def multipliers(self) -> int:
        """Array multipliers, the base of every utilisation figure."""
        return self.lanes * self.columns

    def words(self, channels: int) -> int:
        """Activation words of one pixel."""
        return math.ceil(channels / self.lanes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Loops(Value):
    """Counts of the six nested loops, outermost first, and idle cycles after each tile."""

    rows: int
    cols: int
    tiles: int
    kernel_rows: int
    kernel_cols: int
    words: int
    hold: int

    @property
    def taps(self) -> int:
        """Issue cycles of one tile."""
        return self.kernel_rows * self.kernel_cols * self.words

    @property
    def n_tiles(self) -> int:
        """Tiles of the whole step."""
        return self.rows * self.cols * self.tiles

    @property
    def counts(self) -> tuple[int, ...]:
        """The six loop counts."""
        return (
            self.rows,
            self.cols,
            self.tiles,
            self.kernel_rows,
            self.kernel_cols,
            self.words,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis(Value):
    """A coordinate of the input image: first value, move per output position, per tap, and size.

    Taps outside 0..size-1 read as padding.
    """

    origin: int = 0
    move: int = 0
    kernel_move: int = 0
    size: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Read(Value):
    """Where a step's activations come from: word address of its first tap and move per loop."""

    base: int  # words; may be negative or beyond the buffer where padding begins
    moves: tuple[int, int, int, int, int, int]
    y: Axis
    x: Axis
    pad_value: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Write(Value):
    """Where results go. Groups are R channels; ``first_lanes`` masks a pixel's first group."""

    base: int  # word of the first pixel's first group
    group: int  # its place in that word
    col: int  # words from a pixel to the next
    row: int  # words from a row to the next
    groups_per_pixel: int
    groups_per_tile: int
    first_lanes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Output(Value):
    """Constants of the requantisation; per-channel ones lie in the parameter image."""

    zero_point: int
    low: int
    high: int
    shared: bool = False  # one parameter group for all channels
    pair: bool = False
    odd: bool = False
    multiplier: int = 0  # factor of a pair's second operand


@dataclass(frozen=True, kw_only=True, eq=False)
class Step(Value):
    """One loop nest on one unit: an operator or a part of it."""

    name: str
    operator: str
    unit: Unit
    vector_op: VectorOp
    loops: Loops
    read: Read
    write: Write
    output: Output
    weight_base: int
    param_base: int

    @property
    def bound(self) -> str:
        """What limits its cycles: taps read and multiplied, or results requantised."""
        if self.loops.hold:
            return "requantise"
        return "mac" if self.vector_op is VectorOp.MAC else "read"


@dataclass(frozen=True, kw_only=True, eq=False)
class Buffer(Value):
    """Activation memory of one tensor, live from its first write to its last read (steps)."""

    tensor: str
    words: int
    offset: int
    first_step: int
    last_step: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold(Value):
    """How the host spreads a first layer's kernel over lanes: an input window per output position.

    rows, cols: kernel taps folded into channels (1 where not), with the convolution's stride,
    padding and dilation on each folded axis. Channel order: (row tap, col tap, channel).
    """

    rows: int
    cols: int
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilation: tuple[int, int]
    zero_point: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Port(Value):
    """One network input or output in activation memory.

    shape: [C, H, W] as stored, after folding. offset: words from the start of the I/O region.
    """

    edge: HostEdge
    shape: tuple[int, int, int]
    offset: int
    fold: Fold | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Region(Value):
    """Consecutive words through which all inputs, or all outputs, pass."""

    base: int
    words: int
    ports: tuple[Port, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Images(Value):
    """Contents of the weight and parameter memories.

    weights: int16 [words, K, N]; vector: int16 [words, K]; bias: int64, factor: int64, shift: int8,
    each [words, R] (bias with 2**15 added; shift s places the binary point at bit 24 + 8 s).
    """

    weights: np.ndarray
    vector: np.ndarray
    bias: np.ndarray
    factor: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan(Value):
    """Everything about one network on one target. ``engines`` has one member today."""

    network: str
    target: Target
    engines: tuple[Engine, ...]
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    inputs: Region
    outputs: Region
    images: Images
    macs: int
    notes: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """The engine that runs the steps."""
        return self.engines[0]
