"""A model of the engine in a few lines of NumPy: executes the steps of a plan, row by row.

It follows the plan's own description of reads, writes and images (``weft.machine.plan``), not the
operators they came from, and it is strict: whatever hardware would do silently (an address outside
the memory, a word that nobody wrote, a sum too wide, a row that reads what is not there yet) is an
error here. Steps run in program order; ``clock.Clock`` checks that with the planned times this
comes to the same as running them side by side.
"""

from dataclasses import dataclass

import numpy as np

from tests.mapper.clock import Clock
from weft.engines.common.pack import BIAS_OFFSET, POINTS
from weft.machine.engine import Unit
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.machine.plan import Content, Images, Load, Params, Plan, Step, VectorOp
from weft.nn.ir.numerics import round_scaled

PARAM_FIELDS = ("bias", "factor", "shift")


def execute(plan: Plan, codes: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Output codes int8 [n, C, H, W] by tensor name; memory starts with random contents."""
    engine = plan.engine
    words = pack_inputs(plan.inputs, codes, engine.lanes)
    assert words.shape[1] == plan.inputs.words
    rng = np.random.default_rng(seed)
    banks = [
        rng.integers(-128, 128, (len(words), depth, engine.lanes), np.int8)
        for depth in engine.memories.act
    ]
    given, wanted = plan.inputs, plan.outputs
    assert given.base + given.words <= engine.memories.act[given.bank]
    banks[given.bank][:, given.base : given.base + given.words] = words
    clock = Clock(plan)
    images = plan.images
    for index, step in enumerate(plan.steps):
        if step.loads:  # what was there before counts as gone
            images = _loaded(plan.images, step.loads)
        assert step.loads or index or not engine.has_store
        _Run(plan, index, banks, clock, images).run()
    words = banks[wanted.bank][:, wanted.base : wanted.base + wanted.words]
    assert words.shape[1] == wanted.words
    clock.read_outputs()
    return unpack_outputs(wanted, words)


@dataclass
class _Run:
    """One step on the memories' present contents."""

    plan: Plan
    index: int
    banks: list[np.ndarray]
    clock: Clock
    images: Images

    @property
    def step(self) -> Step:
        return self.plan.steps[self.index]

    def run(self) -> None:
        step, write = self.step, self.step.write
        array = step.unit is Unit.ARRAY
        assert write.groups_last <= write.groups_per_tile
        # Idle cycles must cover what leaves after the next tile's sums could be ready.
        interval = self.plan.engine.requant_interval
        assert step.loops.taps + step.loops.hold >= write.groups_per_tile * interval
        assert not (array and (step.loops.lead or step.output.rolling or step.output.pair))
        assert not (array and step.vector_op is not VectorOp.MAC)
        self.clock.begin(self.index)
        for row in range(step.loops.rows):
            for tile in range(step.loops.tiles):
                acts = self._read(row, tile)
                sums = self._array(acts, tile) if array else self._vector(acts, tile)
                self._write(row, tile, self._requantise(tile, sums[:, step.loops.lead :]))
        self.clock.end(self.index)

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
        self.clock.read(self.index, row, tile, address, inside)
        bank = self.banks[read.bank]
        acts = bank[:, np.where(inside, address, 0)].astype(np.int64)
        return np.where(inside[:, :, None], acts, read.pad_value)

    def _array(self, acts: np.ndarray, tile: int) -> np.ndarray:
        """Sums int64 [n, cols, N]; weights count on through the tiles of a pixel."""
        weights = self._weights(self.images.weights, tile)
        limit = 128 if self.plan.engine.weight_bits == 8 else 256
        assert ((weights >= -limit) & (weights < limit)).all()
        n, cols = acts.shape[:2]
        flat = acts.reshape(n * cols, -1) @ weights.reshape(-1, weights.shape[-1])
        return flat.reshape(n, cols, -1)

    def _vector(self, acts: np.ndarray, tile: int) -> np.ndarray:
        """Sums int64 [n, cols, K] of a word's columns, the leading ones included."""
        step, lanes = self.step, self.plan.engine.lanes
        assert step.loops.words == 1
        assert step.output.rolling or not step.loops.lead
        match step.vector_op:
            case VectorOp.MAC:
                weights = self._weights(self.images.vector, tile)
                weights = weights.reshape(len(weights), -1, lanes)  # [taps, T, K]
                products = np.einsum("nctk,tsk->ncsk", acts, weights)
                return _rolled(products) if step.output.rolling else products[:, :, 0]
            case VectorOp.SUM:
                return acts.sum(axis=2)
            case VectorOp.MAX:
                return acts.max(axis=2)
            case VectorOp.PAIR:
                assert (acts.shape[2], step.output.pair) == (2, True)
                minus = step.output.minus
                assert self.plan.engine.products or not minus
                return acts[:, :, 0] + ((~acts[:, :, 1] if minus else acts[:, :, 1]) << 16)
            case VectorOp.PRODUCT:
                assert (acts.shape[2], step.output.pair) == (2, False)
                assert self.plan.engine.products
                first, second = step.output.zeros
                return (acts[:, :, 0] - first) * (acts[:, :, 1] - second)

    def _weights(self, image: np.ndarray, tile: int) -> np.ndarray:
        taps = self.step.loops.taps
        first = self.step.weight_base + tile * taps
        assert first >= 0
        weights = image[first : first + taps].astype(np.int64)
        assert len(weights) == taps, f"{self.step.name}: weights beyond the image"
        return weights

    def _requantise(self, tile: int, sums: np.ndarray) -> np.ndarray:
        """Codes int8 [n, cols, groups, R] of the groups of a tile that are written."""
        step, output, engine = self.step, self.step.output, self.plan.engine
        lanes = engine.requant(step.unit)
        last = tile == step.loops.tiles - 1
        count = step.write.groups_last if last else step.write.groups_per_tile
        assert count * lanes <= sums.shape[2]
        sums = sums[:, :, : count * lanes].reshape(*sums.shape[:2], count, lanes)
        params = params_of(self.images, engine.path(step.unit))
        first = step.param_base + (0 if output.shared else tile * step.write.groups_per_tile)
        words = first + (np.zeros(count, int) if output.shared else np.arange(count))
        assert set(words) <= set(range(len(params.bias))), f"{step.name}: parameters"
        total = sums + params.bias[words]
        limit = 1 << engine.accumulator_bits - 1
        assert np.all((-limit <= total) & (total < limit)), f"{step.name}: sum too wide"
        factor = params.factor[words]
        if output.pair:
            lower = (total & 0xFFFF) - BIAS_OFFSET  # halves of bias + 2**15
            product = (total >> 16) * output.multiplier + lower * factor
        else:
            product = (total - BIAS_OFFSET) * factor
        point = np.broadcast_to(np.array(POINTS)[params.shift[words]], product.shape)
        rounded = round_scaled(product, point, odd=output.odd)
        return np.clip(rounded + output.zero_point, output.low, output.high).astype(np.int8)

    def _write(self, row: int, tile: int, codes: np.ndarray) -> None:
        """Place the groups of a tile for every column of a row."""
        step, write, engine = self.step, self.step.write, self.plan.engine
        lanes = engine.requant(step.unit)
        per_word = engine.lanes // lanes
        assert 0 <= write.group < per_word
        cols, count = codes.shape[1:3]
        place = write.group + np.arange(count)
        first = write.base + row * write.row + np.arange(cols)[:, None] * write.col
        if step.unit is Unit.ARRAY:
            place = place + tile * write.groups_per_tile
        else:  # every tile begins a word further
            assert write.first_lanes == (1 << lanes) - 1
            first = first + tile
        words = first + place // per_word
        enabled = np.ones((count, lanes), bool)
        if step.unit is Unit.ARRAY and tile == 0:
            enabled[0] = write.first_lanes >> np.arange(lanes) & 1
        assert enabled.any(axis=1).all()
        self.clock.write(self.index, row, tile, words)
        bank = self.banks[write.bank]
        for i in range(count):
            targets = place[i] % per_word * lanes + np.flatnonzero(enabled[i])
            bank[:, words[:, i, None], targets] = codes[:, :, i, enabled[i]]


def _rolled(products: np.ndarray) -> np.ndarray:
    """First sums [n, cols, K] from products [n, cols, T, K]: all move on by one with a column."""
    sums = np.zeros_like(products[:, 0])
    firsts = []
    for col in range(products.shape[1]):
        sums = np.concatenate([sums[:, 1:], np.zeros_like(sums[:, :1])], axis=1)
        sums = sums + products[:, col]
        firsts.append(sums[:, 0])
    return np.stack(firsts, axis=1)


def _loaded(images: Images, loads: tuple[Load, ...]) -> Images:
    """What the memories hold after loads: the words that they bring, and nothing else."""

    def part(content: Content) -> np.ndarray | Params:
        (first, words), *more = [
            (load.first, load.words) for load in loads if load.content is content
        ] or [(0, 0)]
        assert not more
        whole = getattr(images, content.value)
        if isinstance(whole, Params):
            return Params(**{f: getattr(whole, f)[first : first + words] for f in PARAM_FIELDS})
        return whole[first : first + words]

    return Images(**{content.value: part(content) for content in Content})  # type: ignore[arg-type]


def params_of(images: Images, unit: Unit) -> Params:
    """The parameters of a unit's output path."""
    return images.array_params if unit is Unit.ARRAY else images.vector_params
