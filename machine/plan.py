"""The plan: where and when every operator runs. It alone is enough to generate, predict and run."""

import enum
from dataclasses import dataclass

import numpy as np

from weft.machine.engine import Engine, Unit
from weft.machine.target import Target
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.note import Note
from weft.nn.ir.origin import Origin
from weft.value import Value

SCHEMA = 2
"""Version of the plan's fields. Files of another version are not read."""

MAX_COUNT = 4095
"""Largest loop count and image size of the engine's 12-bit counters."""

BIAS_OFFSET = 1 << 15
"""Added to every bias: the output path splits the sum into signed halves at bit 16."""

POINTS = (24, 32, 40, 48, 56)
"""Binary points of a product that the output path can shift to, by the code in ``Params.shift``."""


class VectorOp(enum.Enum):
    """What the vector unit does with each word of a tile."""

    MAC = "mac"
    SUM = "sum"
    MAX = "max"
    PAIR = "pair"
    PRODUCT = "product"


@dataclass(frozen=True, kw_only=True, eq=False)
class Loops(Value):
    """Counts of the six nested loops, and idle cycles after each tile.

    The array nests rows, cols, tiles, kernel_rows, kernel_cols, words; the vector unit tiles before
    cols, of which the first ``lead`` give no results.
    """

    rows: int
    cols: int
    tiles: int
    kernel_rows: int
    kernel_cols: int
    words: int
    hold: int
    lead: int = 0

    @property
    def taps(self) -> int:
        """Issue cycles of one tile."""
        return self.kernel_rows * self.kernel_cols * self.words

    @property
    def n_tiles(self) -> int:
        """Tiles of the whole step."""
        return self.rows * self.cols * self.tiles

    @property
    def row_cycles(self) -> int:
        """Cycles from a row's first tap to its last, both included."""
        return (self.cols * self.tiles - 1) * (self.taps + self.hold) + self.taps

    @property
    def counts(self) -> tuple[int, ...]:
        """The six loop counts, in the array's order."""
        return (
            self.rows,
            self.cols,
            self.tiles,
            self.kernel_rows,
            self.kernel_cols,
            self.words,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Moves(Value):
    """How far an activation address moves, in words, at each loop."""

    row: int = 0
    col: int = 0
    tile: int = 0
    kernel_row: int = 0
    kernel_col: int = 0
    word: int = 0


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
    """Where a step's activations come from: word address of its first tap and move per loop.

    stay: where the first tap of the first tile lies, if each pixel's come from there (a gate).
    """

    bank: int
    base: int  # words; may be negative or beyond the buffer where padding begins
    moves: Moves
    y: Axis
    x: Axis
    pad_value: int
    stay: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Write(Value):
    """Where results go. Groups are as many channels as the unit requantises per cycle.

    Of a pixel's last tile only ``groups_last`` groups are written; ``first_lanes`` masks a pixel's
    first group.
    """

    bank: int
    base: int  # word of the first pixel's first group
    group: int  # its place in that word
    col: int  # words from a pixel to the next
    row: int  # words from a row to the next
    groups_per_tile: int
    groups_last: int
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
    minus: bool = False  # which comes inverted, -code - 1
    zeros: tuple[int, int] = (0, 0)  # zero points of a product's two factors
    rolling: bool = False  # the vector unit's sums move on by a column with each tile


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows(Value):
    """The step runs beside the one before it, on the other unit, and reads its rows.

    need: rows that its first row reads; each further row reads ``Axis.move`` of y more.
    """

    step: int
    need: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Drain(Value):
    """The array begins ``gap`` cycles after the last tap of its step before, which still drains."""

    step: int
    gap: int


@dataclass(frozen=True, kw_only=True, eq=False)
class End(Value):
    """A step of another engine is done."""

    step: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Moved(Value):
    """A transfer between engines is done."""

    transfer: int


Dependency = Rows | Drain | End | Moved
"""What a step waits for; steps and transfers by their numbers in the plan. Without ``Rows`` and
``Drain`` it waits for all steps before it on its engine as well."""


class Content(enum.Enum):
    """The images, by the names that they have in ``Images``."""

    WEIGHTS = "weights"
    VECTOR = "vector"
    ARRAY_PARAMS = "array_params"
    VECTOR_PARAMS = "vector_params"


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer(Value):
    """Words copied from one memory to another; the program has it ahead of the step ``before``.

    source, target: memories of the two engines, by their names in the memory map. first: the first
    word in the source; in the store, which holds images, of the target's image. at: the first word
    in the target. after: the steps that one between engines waits for, beside the transfers between
    engines that the plan has before it.
    """

    source: str
    first: int
    words: int
    target: str
    at: int
    before: int
    from_engine: int = 0
    to_engine: int = 0
    after: tuple[End, ...] = ()

    @property
    def crosses(self) -> bool:
        """Whether it goes from one engine to another; else its engine's program has it."""
        return self.from_engine != self.to_engine


@dataclass(frozen=True, kw_only=True, eq=False)
class Step(Value):
    """One loop nest on one unit: an operator or a part of it.

    engine: which of the plan's. after: what it waits for; one of ``Rows`` and ``Drain`` at most.
    """

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
    after: tuple[Dependency, ...] = ()
    engine: int = 0
    origins: tuple[Origin, ...] = ()  # the model's nodes that it is for

    @property
    def follow(self) -> Rows | None:
        """The rows that it waits for, if it runs beside the step before."""
        return next((x for x in self.after if isinstance(x, Rows)), None)

    @property
    def gap(self) -> int | None:
        """Cycles after the last tap of the array's step before, if it is chained to that."""
        return next((x.gap for x in self.after if isinstance(x, Drain)), None)

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
    bank: int
    offset: int
    first_step: int
    last_step: int
    engine: int = 0


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

    bank: int
    base: int
    words: int
    ports: tuple[Port, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Params(Value):
    """A parameter memory: int64 [words, R] each; bias with 2**15 added, shift s places the binary
    point at bit 24 + 8 s."""

    bias: np.ndarray
    factor: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Images(Value):
    """Contents of the weight and parameter memories.

    weights: int16 [words, K, N]; vector: int16 [words, T * K], tap by tap; the parameters of either
    unit's output path.
    """

    weights: np.ndarray
    vector: np.ndarray
    array_params: Params
    vector_params: Params


def other_schema(found: object) -> str:
    """What is wrong with a plan of another version of the fields."""
    return f"schema is {found!r:.40}, not {SCHEMA}: another version of weft wrote it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan(Value):
    """Everything about one network on one target.

    Each engine has images of its own, and runs its steps in their order. Inputs and outputs are in
    the memories of the first one. Designs are built of plans with one engine.
    """

    schema: int = SCHEMA
    network: str
    target: Target
    engines: tuple[Engine, ...]
    steps: tuple[Step, ...]
    transfers: tuple[Transfer, ...]
    buffers: tuple[Buffer, ...]
    inputs: Region
    outputs: Region
    images: tuple[Images, ...]
    macs: int
    notes: tuple[Note, ...] = ()

    def _check(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(other_schema(self.schema))
        if not self.engines:
            raise ValueError("a plan has at least one engine")
        if len(self.images) != len(self.engines):
            raise ValueError(f"engines: {len(self.engines)}, but images: {len(self.images)}")

    @property
    def engine(self) -> Engine:
        """The first engine: that of the inputs and outputs."""
        return self.engines[0]
