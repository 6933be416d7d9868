"""A model of the engine in a few lines of NumPy: executes the steps of a plan, tap by tap.

It follows the plan's own description of reads, writes and images (``weft.mapper.plan``), not the
operators they came from, and it is strict: whatever hardware would do silently (an address outside
the memory, a sum too wide, a step that reads what it writes) is an error here.
"""

import numpy as np

from weft.mapper.memory_layout import pack_inputs, unpack_outputs
from weft.mapper.pack import BIAS_OFFSET, POINTS
from weft.mapper.plan import Plan, Step, Unit, VectorOp
from weft.nn.numerics import round_scaled


def execute(plan: Plan, codes: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Output codes int8 [n, C, H, W] by tensor name; memory starts with random contents."""
    engine = plan.engine
    words = pack_inputs(plan.inputs, codes, engine.lanes)
    assert words.shape[1] == plan.inputs.words
    rng = np.random.default_rng(seed)
    memory = rng.integers(-128, 128, (len(words), engine.memories.act, engine.lanes), np.int8)
    memory[:, plan.inputs.base : plan.inputs.base + plan.inputs.words] = words
    for step in plan.steps:
        _run(plan, step, memory)
    region = plan.outputs
    return unpack_outputs(region, memory[:, region.base : region.base + region.words])


def _run(plan: Plan, step: Step, memory: np.ndarray) -> None:
    """One step; its results are written after all of its reads, as long as they do not meet."""
    read_words: set[int] = set()
    written: list[tuple[int, int, np.ndarray]] = []
    for row in range(step.loops.rows):
        for col in range(step.loops.cols):
            groups: list[np.ndarray] = []
            acts = _read(step, memory, (row, col, 0), read_words)
            for tile in range(step.loops.tiles):
                if tile and step.read.moves[2]:  # else every tile reads the same
                    acts = _read(step, memory, (row, col, tile), read_words)
                sums = _accumulate(plan, step, acts, tile)
                groups += _drain(plan, step, sums)
            written += _place(plan, step, _requantise(plan, step, groups), row, col)
    assert read_words.isdisjoint(word for word, _, _ in written), f"{step.name} reads its writes"
    for word, lane, values in written:
        memory[:, word, lane] = values


def _read(
    step: Step, memory: np.ndarray, outer: tuple[int, int, int], read_words: set[int]
) -> np.ndarray:
    """Activations int64 [n, taps, K] of one tile."""
    loops, read = step.loops, step.read
    row, col, _ = outer
    acts = []
    for inner in np.ndindex(loops.kernel_rows, loops.kernel_cols, loops.words):
        y = read.y.origin + row * read.y.move + inner[0] * read.y.kernel_move
        x = read.x.origin + col * read.x.move + inner[1] * read.x.kernel_move
        if 0 <= y < read.y.size and 0 <= x < read.x.size:
            moves = zip(read.moves, (*outer, *inner), strict=True)
            word = read.base + sum(move * count for move, count in moves)
            assert 0 <= word < memory.shape[1], f"{step.name} reads word {word}"
            read_words.add(word)
            acts.append(memory[:, word])
        else:
            acts.append(np.full_like(memory[:, 0], read.pad_value))
    return np.stack(acts, axis=1).astype(np.int64)


def _accumulate(plan: Plan, step: Step, acts: np.ndarray, tile: int) -> np.ndarray:
    """Sums int64 [n, N] of the array or [n, K] of the vector unit; weights count on per pixel."""
    first = step.weight_base + tile * step.loops.taps
    taps = slice(first, first + step.loops.taps)
    if step.unit is Unit.ARRAY:
        weights = plan.images.weights[taps].astype(np.int64)
        assert len(weights) == step.loops.taps
        return np.tensordot(acts, weights, axes=((1, 2), (0, 1)))
    match step.vector_op:
        case VectorOp.MAC:
            weights = plan.images.vector[taps].astype(np.int64)
            assert len(weights) == step.loops.taps
            return (acts * weights).sum(axis=1)
        case VectorOp.SUM:
            return acts.sum(axis=1)
        case VectorOp.MAX:
            return acts.max(axis=1)
        case VectorOp.PAIR:
            assert acts.shape[1] == 2
            return acts[:, 0] + (acts[:, 1] << 16)


def _drain(plan: Plan, step: Step, sums: np.ndarray) -> list[np.ndarray]:
    """Groups of R sums [n, R] in the order in which they leave."""
    lanes = plan.engine.requant_lanes
    count = step.write.groups_per_tile
    assert count * lanes <= sums.shape[1]
    # Idle cycles must cover what leaves after the next tile's sums could be ready.
    assert step.loops.taps + step.loops.hold >= count
    return [sums[:, i * lanes : (i + 1) * lanes] for i in range(count)]


def _requantise(plan: Plan, step: Step, groups: list[np.ndarray]) -> list[np.ndarray]:
    """Codes int8 [n, R] of the groups that are written."""
    images, output = plan.images, step.output
    assert len(groups) >= step.write.groups_per_pixel
    limit = 1 << plan.engine.accumulator_bits - 1
    codes = []
    for i, sums in enumerate(groups[: step.write.groups_per_pixel]):
        word = step.param_base + (0 if output.shared else i)
        assert 0 <= word < len(images.bias)
        total = sums + images.bias[word]
        assert np.all((-limit <= total) & (total < limit)), f"{step.name}: sum too wide"
        factor = images.factor[word]
        if output.pair:
            lower = (total & 0xFFFF) - BIAS_OFFSET  # halves of bias + 2**15
            product = (total >> 16) * output.multiplier + lower * factor
        else:
            product = (total - BIAS_OFFSET) * factor
        point = np.array(POINTS)[images.shift[word]]
        rounded = round_scaled(product, np.broadcast_to(point, product.shape), odd=output.odd)
        codes.append(np.clip(rounded + output.zero_point, output.low, output.high).astype(np.int8))
    return codes


def _place(
    plan: Plan, step: Step, groups: list[np.ndarray], row: int, col: int
) -> list[tuple[int, int, np.ndarray]]:
    """(word, lane, values [n]) of every result that is written."""
    write, lanes = step.write, plan.engine.requant_lanes
    per_word = plan.engine.lanes // lanes
    assert 0 <= write.group < per_word
    result = []
    for i, codes in enumerate(groups):
        place = write.group + i
        word = write.base + row * write.row + col * write.col + place // per_word
        assert 0 <= word < plan.engine.memories.act, f"{step.name} writes word {word}"
        for lane in range(lanes):
            if i > 0 or write.first_lanes >> lane & 1:
                result.append((word, place % per_word * lanes + lane, codes[:, lane]))
    return result
