"""Rules that every plan keeps: what was read from a file is as sound as what the mapper made."""

import math

import numpy as np

from weft.machine import timing
from weft.machine.engine import Engine
from weft.machine.fields import GAP_BITS
from weft.machine.images import CHUNK_BITS, STORE_BITS, word_of
from weft.machine.layout import port_words
from weft.machine.memory_map import memory_map
from weft.machine.plan import MAX_COUNT, Content, Fold, Images, Load, Params, Plan, Region, Step
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN

MAX_LANES = 1024
MAX_MEMORY_BITS = 1 << 31
"""Of one memory: far beyond any device, and nothing that a computer could not hold."""

CYCLE_BITS = 32
"""Width of the core's cycle counter."""


def check(plan: Plan) -> None:
    """Raise ValueError where the plan breaks a rule."""
    _need(0 < plan.target.clock_hz < 1e11, f"a clock of {plan.target.clock_hz:g} Hz")
    _need(bool(plan.steps), "a plan has steps")
    engine = plan.engine
    _check_engine(engine)
    _check_images(engine, plan.images)
    for name, region in (("inputs", plan.inputs), ("outputs", plan.outputs)):
        _check_region(name, engine, region)
    for buffer in plan.buffers:
        place = f"buffer {buffer.tensor!r}"
        _check_place(place, engine, buffer.bank, buffer.offset, buffer.words)
        inside = -1 <= buffer.first_step <= buffer.last_step <= len(plan.steps) + 1
        _need(inside, f"{place}: steps {buffer.first_step}..{buffer.last_step}")
    for i, step in enumerate(plan.steps):
        before = plan.steps[i - 1] if i else None
        _check_step(f"step {i} ({step.name!r})", engine, step, before)
        for load in step.loads:
            _check_load(f"step {i} ({step.name!r})", plan, load)
    # Not before every count is known to be small.
    cycles = timing.cycles(plan)
    _need(0 < cycles < 1 << CYCLE_BITS, f"{cycles:,} cycles overflow the core's counter")


def _need(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(rule)


def _check_engine(engine: Engine) -> None:
    for name in ("lanes", "columns", "array_requant", "vector_requant", "vector_taps"):
        count = getattr(engine, name)
        _need(1 <= count <= MAX_LANES, f"engine: {name} is {count}")
    _need(engine.weight_bits in (8, 9), f"engine: weight_bits is {engine.weight_bits}")
    _need(2 <= engine.count_bits <= 12, f"engine: count_bits is {engine.count_bits}")
    _need(engine.has_store or not engine.memories.store, "engine: store")
    for memory in memory_map(engine).memories:
        most = MAX_MEMORY_BITS // (memory.banks * memory.width)
        _need(memory.depth <= most, f"engine: memory {memory.name} of {memory.depth} words")


def _check_images(engine: Engine, images: Images) -> None:
    k, n, t = engine.lanes, engine.columns, engine.vector_taps
    _check_words("weights", images.weights, (k, n), "int16")
    _check_words("vector", images.vector, (t * k,), "int16")
    largest = (1 << engine.weight_bits - 1) - 1
    for name, words, (low, high) in (
        ("weights", images.weights, engine.rows.limits(engine.weight_bits)),
        ("vector", images.vector, (-largest - 1, largest)),
    ):
        fits = not words.size or (words.min() >= low and words.max() <= high)
        _need(fits, f"images: {name} beyond {low}..{high}")
    for name, params, lanes in (
        ("array_params", images.array_params, engine.array_requant),
        ("vector_params", images.vector_params, engine.vector_requant),
    ):
        _check_params(name, params, lanes)
    if not engine.has_store:
        memories = engine.memories
        depths = (memories.weight, memories.vector, *memories.param)
        for content, depth in zip(Content, depths, strict=True):
            words = _words(images, content)
            _need(words <= depth, f"images: {words} words of {content.value} in {depth}")


def _check_words(name: str, words: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    fits = words.dtype == dtype and words.shape[1:] == shape and words.ndim == len(shape) + 1
    _need(fits, f"images: {name} is {words.dtype} {list(words.shape)}, not {dtype} [n, *{shape}]")


def _check_params(name: str, params: Params, lanes: int) -> None:
    for part in (params.bias, params.factor, params.shift):
        _check_words(name, part, (lanes,), "int64")
        _need(len(part) == len(params.bias), f"images: parts of {name} differ in length")
    if params.bias.size:
        bias = params.bias.min() >= -(1 << 31) and params.bias.max() < 1 << 31
        _need(bool(bias), f"images: a bias of {name} has more than 32 bits")
        _need(not (params.shift >> 4).any(), f"images: a shift of {name} is not 0..15")
        _need(not (params.factor >> CHUNK_BITS).any(), f"images: a factor of {name}")


def _words(images: Images, content: Content) -> int:
    """Words of one of the images."""
    part = getattr(images, content.value)
    return len(part.bias if isinstance(part, Params) else part)


def _check_place(what: str, engine: Engine, bank: int, base: int, words: int) -> None:
    inside = bank in (0, 1) and base >= 0 and words >= 1
    inside = inside and base + words <= engine.memories.act[bank]
    _need(inside, f"{what}: {words} words at {base} of bank {bank} are not in the memory")


def _check_region(name: str, engine: Engine, region: Region) -> None:
    _check_place(name, engine, region.bank, region.base, region.words)
    _need(bool(region.ports), f"{name}: no ports")
    end = 0
    for port in region.ports:
        sizes = min(port.shape) >= 1 and max(port.shape) <= 1 << 24
        _need(sizes and port.offset >= 0, f"{name}: port {port.edge.name!r} of {port.shape}")
        end = max(end, port.offset + port_words(port, engine.lanes))
        if port.fold is not None:
            _check_fold(f"{name}: port {port.edge.name!r}", port.fold)
    _need(end == region.words, f"{name}: ports of {end} words in {region.words}")


def _check_fold(what: str, fold: Fold) -> None:
    counts = (fold.rows, fold.cols, *fold.stride, *fold.dilation)
    small = min(counts) >= 1 and max(counts) <= MAX_COUNT
    small = small and min(fold.pads) >= 0 and max(fold.pads) <= MAX_COUNT
    _need(small and CODE_MIN <= fold.zero_point <= CODE_MAX, f"{what}: fold {fold}")


def _check_step(what: str, engine: Engine, step: Step, before: Step | None) -> None:
    loops, write = step.loops, step.write
    counts = all(1 <= count <= MAX_COUNT for count in loops.counts)
    _need(counts, f"{what}: loop counts {loops.counts}")
    _need(0 <= loops.hold <= 1 << 16, f"{what}: hold {loops.hold}")
    _need(0 <= loops.lead <= MAX_COUNT, f"{what}: lead {loops.lead}")
    banks = step.read.bank in (0, 1) and write.bank in (0, 1)
    _need(banks, f"{what}: banks {step.read.bank} and {write.bank}")
    groups = math.ceil(engine.tile_lanes(step.unit) / engine.requant(step.unit))
    tile = 1 <= write.groups_last <= write.groups_per_tile <= max(groups, engine.lanes)
    _need(
        tile, f"{what}: {write.groups_per_tile} groups of a tile, {write.groups_last} of the last"
    )
    if step.follow is not None:
        _need(before is not None and engine.overlaps, f"{what} follows no step")
        enough = loops.row_cycles >= timing.MIN_FOLLOW_CYCLES
        _need(enough, f"{what}: rows of {loops.row_cycles} cycles cannot follow")
    if step.gap is not None:
        _need(before is not None and engine.overlaps, f"{what} is chained to no step")
        _need(0 <= step.gap < 1 << GAP_BITS, f"{what}: gap {step.gap}")


def _check_load(what: str, plan: Plan, load: Load) -> None:
    _need(plan.engine.has_store, f"{what} loads, but the engine has no store")
    content = load.content
    there = _words(plan.images, content)
    inside = load.first >= 0 and load.words >= 1 and load.first + load.words <= there
    _need(inside, f"{what} loads {load.words} words of {content.value} at {load.first}")
    word = word_of(plan.engine, content)
    wide = word.chunk_bits > STORE_BITS
    fits = load.chunks == load.words << word.address_bits and load.wide == wide
    fits = fits and load.source >= 0
    fits = fits and load.source + load.store_words <= plan.engine.memories.store
    _need(fits, f"{what} loads {load.chunks} chunks at {load.source} of the store")
