"""A plan, executed step by step and row by row: what it means, in NumPy.

It follows the plan's own description of reads, writes and images (``weft.machine.plan``), not the
operators they came from, and it is strict: whatever hardware would do silently (an address outside
the memory, a word that nobody wrote, a sum too wide, a row that reads what is not there yet) is a
PlanFault. ``rules.check`` must have passed the plan. Steps run in program order; ``clock.Clock``
checks that with the planned times this comes to the same as running them side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weft.machine.check.arithmetic import Arithmetic, Codes, combined
from weft.machine.check.clock import Clock
from weft.machine.check.fault import PlanFault, step_name
from weft.machine.check.places import Places
from weft.machine.engine import Engine, Unit
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.machine.loads import Load, by_step
from weft.machine.memory_map import ACTIVATIONS
from weft.machine.plan import Content, Images, Params, Plan, Step, Transfer, VectorOp

PARAM_FIELDS = ("bias", "factor", "shift")

Banks = list[np.ndarray]
"""Contents of the activation memories, [n, words, K] each."""


def execute(
    plan: Plan,
    codes: dict[str, np.ndarray],
    seed: int = 0,
    *,
    arithmetic: Arithmetic | None = None,
    places: Places | None = None,
    after: Callable[[int, Banks], None] = lambda index, banks: None,
) -> dict[str, np.ndarray]:
    """Outputs [n, C, H, W] by tensor name, from inputs of the arithmetic's type (codes by default).

    Memory starts with random contents. ``places``: where each step may read and write; ``after`` is
    called when a step is done. Raises PlanFault.
    """
    arithmetic = arithmetic or Codes()
    engine = plan.engine
    words = pack_inputs(plan.inputs, codes, engine.lanes)
    rng = np.random.default_rng(seed)
    low, high = np.iinfo(arithmetic.dtype).min, np.iinfo(arithmetic.dtype).max
    memories: list[Banks] = [
        [
            rng.integers(low, high, (len(words), depth, x.lanes), arithmetic.dtype, endpoint=True)
            for depth in x.memories.act
        ]
        for x in plan.engines
    ]
    given, wanted, banks = plan.inputs, plan.outputs, memories[0]
    banks[given.bank][:, given.base : given.base + given.words] = words
    clock = Clock(plan)
    images = [_initial(plan, i) for i in range(len(plan.engines))]
    loads = [by_step(x, plan.transfers, i) for i, x in enumerate(plan.engines)]
    for index, step in enumerate(plan.steps):
        for number, transfer in enumerate(plan.transfers):
            if transfer.crosses and transfer.before == index:
                clock.transfer(number)
                _copy(transfer, memories)
        own = step.engine
        if index in loads[own]:  # what was there before counts as gone
            images[own] = _loaded(plan.images[own], loads[own][index])
        _Run(plan, index, memories[own], clock, images[own], arithmetic, places).run()
        after(index, memories[own])
    clock.read_outputs()
    words = banks[wanted.bank][:, wanted.base : wanted.base + wanted.words]
    return unpack_outputs(wanted, words)


@dataclass
class _Run:
    """One step on the memories' present contents."""

    plan: Plan
    index: int
    banks: Banks
    clock: Clock
    images: Images
    arithmetic: Arithmetic
    places: Places | None

    @property
    def step(self) -> Step:
        return self.plan.steps[self.index]

    @property
    def engine(self) -> Engine:
        return self.plan.engines[self.step.engine]

    def run(self) -> None:
        step = self.step
        array = step.unit is Unit.ARRAY
        self.clock.begin(self.index)
        for row in range(step.loops.rows):
            for tile in range(step.loops.tiles):
                acts = self._read(row, tile)
                sums = self._array(acts, tile) if array else self._vector(acts, tile)
                self._write(row, tile, self._requantise(tile, sums[:, step.loops.lead :]))
        self.clock.finish(self.index)

    def _read(self, row: int, tile: int) -> np.ndarray:
        """Activations int64 [n, cols, taps, K] of a tile of every column of a row."""
        loops, read = self.step.loops, self.step.read
        col = np.arange(loops.cols).reshape(-1, 1, 1, 1)
        ky = np.arange(loops.kernel_rows).reshape(-1, 1, 1)
        kx = np.arange(loops.kernel_cols).reshape(-1, 1)
        word = np.arange(loops.words)
        moves = read.moves
        address = read.base + row * moves.row + tile * moves.tile + col * moves.col
        address = address + ky * moves.kernel_row + kx * moves.kernel_col + word * moves.word
        if read.stay is not None:
            address = np.where(kx == 0, read.stay + tile * moves.tile, address)
        y = read.y.origin + row * read.y.move + ky * read.y.kernel_move
        x = read.x.origin + col * read.x.move + kx * read.x.kernel_move
        inside = (y >= 0) & (y < read.y.size) & (x >= 0) & (x < read.x.size)
        inside = np.broadcast_to(inside, address.shape).reshape(loops.cols, loops.taps)
        address = address.reshape(loops.cols, loops.taps)
        if self.places is not None:
            self.places.read(self.index, address[inside])
        self.clock.read(self.index, row, tile, address, inside)
        bank = self.banks[read.bank]
        acts = bank[:, np.where(inside, address, 0)].astype(np.int64)
        return np.where(inside[:, :, None], acts, read.pad_value)

    def _array(self, acts: np.ndarray, tile: int) -> np.ndarray:
        """Sums int64 [n, cols, N]; weights count on through the tiles of a pixel."""
        weights = self._weights(Content.WEIGHTS, tile)
        n, cols = acts.shape[:2]
        flat = acts.reshape(n * cols, -1)
        sums = self.arithmetic.array(flat, weights.reshape(-1, weights.shape[-1]))
        return sums.reshape(n, cols, -1)

    def _vector(self, acts: np.ndarray, tile: int) -> np.ndarray:
        """Sums int64 [n, cols, K] of a word's columns, the leading ones included."""
        step, lanes = self.step, self.engine.lanes
        if step.vector_op is not VectorOp.MAC:
            return combined(step.vector_op, step.output, acts, self.arithmetic)
        weights = self._weights(Content.VECTOR, tile)
        weights = weights.reshape(len(weights), -1, lanes)  # [taps, T, K]
        if step.output.rolling:
            return _rolled(np.einsum("nctk,tsk->ncsk", acts, weights))
        return np.einsum("nctk,tk->nck", acts, weights[:, 0])

    def _weights(self, content: Content, tile: int) -> np.ndarray:
        image = getattr(self.images, content.value)
        taps = self.step.loops.taps
        first = self.step.weight_base + tile * taps
        why = (
            f"tile {tile} reads the words {first}..{first + taps - 1} of the {content.value}, of "
            f"which there are {len(image)}"
        )
        self._need(first + taps <= len(image), "weight_base", self.step.weight_base, why)
        return image[first : first + taps].astype(np.int64)

    def _requantise(self, tile: int, sums: np.ndarray) -> np.ndarray:
        """Results [n, cols, groups, R] of the groups of a tile that are written."""
        step, output, engine = self.step, self.step.output, self.engine
        lanes = engine.requant(step.unit)
        last = tile == step.loops.tiles - 1
        count = step.write.groups_last if last else step.write.groups_per_tile
        sums = sums[:, :, : count * lanes].reshape(*sums.shape[:2], count, lanes)
        params = params_of(self.images, engine.path(step.unit))
        first = step.param_base + (0 if output.shared else tile * step.write.groups_per_tile)
        words = first + (np.zeros(count, int) if output.shared else np.arange(count))
        why = (
            f"tile {tile} takes the words {first}..{words[-1]} of the parameters, of which there "
            f"are {len(params.bias)}"
        )
        self._need(words[-1] < len(params.bias), "param_base", step.param_base, why)
        total = sums + params.bias[words]
        if self.arithmetic.dtype is np.int8:
            limit = 1 << engine.accumulator_bits - 1
            fits = bool(np.all((-limit <= total) & (total < limit)))
            bits = engine.accumulator_bits
            where = (step_name(self.index, step), f"engines[{step.engine}].accumulator_bits", bits)
            if not fits:
                raise PlanFault(*where, "its sums are wider", "more bits")
        factor, shift = params.factor[words], params.shift[words]
        return self.arithmetic.requantise(output, total, factor, shift)

    def _write(self, row: int, tile: int, codes: np.ndarray) -> None:
        """Place the groups of a tile for every column of a row."""
        step, write, engine = self.step, self.step.write, self.engine
        lanes = engine.requant(step.unit)
        per_word = engine.lanes // lanes
        cols, count = codes.shape[1:3]
        place = write.group + np.arange(count)
        first = write.base + row * write.row + np.arange(cols)[:, None] * write.col
        if step.unit is Unit.ARRAY:
            place = place + tile * write.groups_per_tile
        else:  # every tile begins a word further
            first = first + tile
        words = first + place // per_word
        enabled = np.ones((count, lanes), bool)
        if step.unit is Unit.ARRAY and tile == 0:
            enabled[0] = write.first_lanes >> np.arange(lanes) & 1
        if self.places is not None:
            self.places.write(self.index, words)
        self.clock.write(self.index, row, tile, words)
        bank = self.banks[write.bank]
        for i in range(count):
            targets = place[i] % per_word * lanes + np.flatnonzero(enabled[i])
            bank[:, words[:, i, None], targets] = codes[:, :, i, enabled[i]]

    def _need(self, condition: object, field: str, value: object, why: str) -> None:
        if not condition:
            raise PlanFault(step_name(self.index, self.step), field, value, why)


def _rolled(products: np.ndarray) -> np.ndarray:
    """First sums [n, cols, K] from products [n, cols, T, K]: all move on by one with a column."""
    sums = np.zeros_like(products[:, 0])
    firsts = []
    for col in range(products.shape[1]):
        sums = np.concatenate([sums[:, 1:], np.zeros_like(sums[:, :1])], axis=1)
        sums = sums + products[:, col]
        firsts.append(sums[:, 0])
    return np.stack(firsts, axis=1)


def _initial(plan: Plan, engine: int) -> Images:
    """What an engine's memories hold before the first transfer."""
    images = plan.images[engine]
    return _loaded(images, []) if plan.engines[engine].has_store else images


def _copy(transfer: Transfer, memories: list[Banks]) -> None:
    """A transfer from one engine's activations to another's."""
    source = memories[transfer.from_engine][ACTIVATIONS.index(transfer.source)]
    target = memories[transfer.to_engine][ACTIVATIONS.index(transfer.target)]
    words = source[:, transfer.first : transfer.first + transfer.words]
    target[:, transfer.at : transfer.at + transfer.words] = words


def _loaded(images: Images, loads: Sequence[Load]) -> Images:
    """What the memories hold after loads: the words that they bring, and nothing else."""

    def part(content: Content) -> np.ndarray | Params:
        there = (load for load in loads if load.content is content)
        first, words = next(((load.first, load.words) for load in there), (0, 0))
        whole = getattr(images, content.value)
        if isinstance(whole, Params):
            return Params(**{f: getattr(whole, f)[first : first + words] for f in PARAM_FIELDS})
        return whole[first : first + words]

    return Images(**{content.value: part(content) for content in Content})  # type: ignore[arg-type]


def params_of(images: Images, unit: Unit) -> Params:
    """The parameters of a unit's output path."""
    return images.array_params if unit is Unit.ARRAY else images.vector_params
