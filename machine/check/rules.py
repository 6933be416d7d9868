"""Rules that every plan keeps: what was read from a file is as sound as what the mapper made.

What only shows when the steps run is in ``execute`` and ``clock``.
"""

import numpy as np

from weft.machine import timing
from weft.machine.check.fault import PlanFault, step_name
from weft.machine.check.places import check_overlaps
from weft.machine.check.step_rules import StepRules
from weft.machine.engine import Engine
from weft.machine.fields import step_chunks
from weft.machine.images import CHUNK_BITS, STORE_BITS
from weft.machine.layout import port_words
from weft.machine.loads import loads_of
from weft.machine.memory_map import ACTIVATIONS, STORE, memory_map
from weft.machine.plan import (
    MAX_COUNT,
    POINTS,
    Buffer,
    Content,
    End,
    Fold,
    Images,
    Moved,
    Params,
    Plan,
    Region,
    Step,
    Transfer,
)
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN

MAX_LANES = 1024
MAX_MEMORY_BITS = 1 << 31
"""Of one memory: far beyond any device, and nothing that a computer could not hold."""

CYCLE_BITS = 32
"""Width of the core's cycle counter."""

ENGINE = "engines[0]"


def check(plan: Plan) -> None:
    """Raise PlanFault where the plan breaks a rule."""
    hertz = plan.target.clock_hz
    _need(0 < hertz < 1e11, "target", "clock_hz", f"{hertz:g}", "no clock of a device")
    _need(plan.steps, "the plan", "steps", "[]", "it has none")
    for i, (engine, images) in enumerate(zip(plan.engines, plan.images, strict=True)):
        _check_engine(f"engines[{i}]", engine)
        _check_images(f"engines[{i}]", engine, images)
    for name, region in (("inputs", plan.inputs), ("outputs", plan.outputs)):
        _check_region(name, plan.engine, region)
    for i, buffer in enumerate(plan.buffers):
        _check_buffer(plan, f"buffer {i} ({buffer.tensor!r})", buffer)
    check_overlaps(plan.buffers)
    for i, step in enumerate(plan.steps):
        _check_index(plan, step_name(i, step), "engine", step.engine)
        StepRules(plan.engines[step.engine], plan.steps, i).check()
    _check_transfers(plan)
    for i, step in enumerate(plan.steps):
        _check_after(plan, i, step)
    for i in range(len(plan.engines)):
        _check_program(plan, i)
    # Not before every count is known to be small.
    cycles = timing.cycles(plan)
    small = 0 < cycles < 1 << CYCLE_BITS
    _need(small, "the plan", "cycles", f"{cycles:,}", "more than the core's counter holds")


def _need(
    condition: object, where: str, field: str, value: object, why: str, works: str = ""
) -> None:
    if not condition:
        raise PlanFault(where, field, value, why, works)


def _check_index(plan: Plan, where: str, field: str, engine: int) -> None:
    last = len(plan.engines) - 1
    _need(0 <= engine <= last, where, field, engine, "there is no such engine", f"0..{last}")


def _check_buffer(plan: Plan, where: str, buffer: Buffer) -> None:
    _check_index(plan, where, "engine", buffer.engine)
    engine, own = plan.engines[buffer.engine], f"engines[{buffer.engine}]"
    _check_place(where, engine, buffer.bank, "offset", buffer.offset, buffer.words, own)
    first, last, end = buffer.first_step, buffer.last_step, len(plan.steps) + 1
    _need(-1 <= first <= last, where, "first_step", first, "not -1..last_step")
    _need(last <= end, where, "last_step", last, f"the plan ends with step {end - 2}")


def _check_after(plan: Plan, index: int, step: Step) -> None:
    """What a step waits for outside of its engine is earlier in the plan."""
    for i, dependency in enumerate(step.after):
        where = step_name(index, step)
        if isinstance(dependency, End):
            value, field = dependency.step, f"after[{i}].step"
            there = 0 <= value < index and plan.steps[value].engine != step.engine
            _need(there, where, field, value, "not an earlier step of another engine")
        elif isinstance(dependency, Moved):
            value, field = dependency.transfer, f"after[{i}].transfer"
            there = 0 <= value < len(plan.transfers) and plan.transfers[value].crosses
            there = there and plan.transfers[value].before <= index
            _need(there, where, field, value, "not an earlier transfer between engines")


def _check_engine(own: str, engine: Engine) -> None:
    for name in ("lanes", "columns", "array_requant", "vector_requant", "vector_taps"):
        count = getattr(engine, name)
        _need(1 <= count <= MAX_LANES, own, name, count, "out of range", f"1..{MAX_LANES}")
    memories, k, n = engine.memories, engine.lanes, engine.columns
    for name, words, bits in (
        *((f"act[{i}]", words, 8 * k) for i, words in enumerate(memories.act)),
        ("weight", memories.weight, engine.weight_bits * k * n),
        ("vector", memories.vector, engine.weight_bits * k * engine.vector_taps),
        ("param[0]", memories.param[0], 72 * engine.array_requant),
        ("param[1]", memories.param[1], 72 * engine.vector_requant),
        ("program", memories.program, CHUNK_BITS),
    ):
        most = MAX_MEMORY_BITS // bits
        field = f"memories.{name}"
        _need(1 <= words <= most, own, field, words, "out of range", f"1..{most}")
    words = memories.store
    most = MAX_MEMORY_BITS // STORE_BITS if engine.has_store else 0
    _need(0 <= words <= most, own, "memories.store", words, "out of range", f"0..{most}")
    try:
        memory_map(engine)
    except ValueError as error:
        raise PlanFault(own, "memories", "too large", str(error)) from error


def _check_images(own: str, engine: Engine, images: Images) -> None:
    k, n, t = engine.lanes, engine.columns, engine.vector_taps
    _check_words("weights", images.weights, (k, n), "int16")
    _check_words("vector", images.vector, (t * k,), "int16")
    largest = (1 << engine.weight_bits - 1) - 1
    for name, words, (low, high) in (
        ("weights", images.weights, engine.rows.limits(engine.weight_bits)),
        ("vector", images.vector, (-largest - 1, largest)),
    ):
        wrong = words[(words < low) | (words > high)]
        fits = f"not {low}..{high}, as the engine's multipliers take them"
        _need(not wrong.size, "images", name, wrong[:1], fits)
    for name, params, lanes in (
        ("array_params", images.array_params, engine.array_requant),
        ("vector_params", images.vector_params, engine.vector_requant),
    ):
        _check_params(name, params, lanes)
    if not engine.has_store:
        memories = engine.memories
        names = ("weight", "vector", "param[0]", "param[1]")
        depths = (memories.weight, memories.vector, *memories.param)
        for content, name, depth in zip(Content, names, depths, strict=True):
            words = _words(images, content)
            why = f"too small for the {words} words of images.{content.value}"
            _need(words <= depth, own, f"memories.{name}", depth, why, f"at least {words}")


def _check_words(name: str, words: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    fits = words.dtype == dtype and words.shape[1:] == shape and words.ndim == len(shape) + 1
    expected = f"the engine takes {dtype} [n, {', '.join(map(str, shape))}]"
    _need(fits, "images", name, f"{words.dtype} {list(words.shape)}", expected)


def _check_params(name: str, params: Params, lanes: int) -> None:
    for part in ("bias", "factor", "shift"):
        array = getattr(params, part)
        _check_words(f"{name}.{part}", array, (lanes,), "int64")
        same = len(array) == len(params.bias)
        _need(same, "images", f"{name}.{part}", f"{len(array)} words", "bias has another number")
    for part, low, high in (
        ("bias", -(1 << 31), (1 << 31) - 1),
        ("factor", 0, (1 << 32) - 1),
        ("shift", 0, len(POINTS) - 1),
    ):
        array = getattr(params, part)
        wrong = array[(array < low) | (array > high)]
        _need(not wrong.size, "images", f"{name}.{part}", wrong[:1], f"not {low}..{high}")


def _words(images: Images, content: Content) -> int:
    """Words of one of the images."""
    part = getattr(images, content.value)
    return len(part.bias if isinstance(part, Params) else part)


def _check_place(
    where: str,
    engine: Engine,
    bank: int,
    field: str,
    base: int,
    words: int,
    own: str,
) -> None:
    _need(bank in (0, 1), where, "bank", bank, "there are two", "0 or 1")
    depth = engine.memories.act[bank]
    _need(words >= 1, where, "words", words, "it has none")
    why = f"its {words} words are not in bank {bank}, which has {depth}"
    works = f"0..{depth - words}, or more words in {own}.memories.act[{bank}]"
    _need(0 <= base <= depth - words, where, field, base, why, works if words <= depth else "")


def _check_region(name: str, engine: Engine, region: Region) -> None:
    _check_place(name, engine, region.bank, "base", region.base, region.words, ENGINE)
    _need(region.ports, name, "ports", "[]", "there are none")
    end = 0
    for i, port in enumerate(region.ports):
        where = f"{name}: port {port.edge.name!r}"
        sizes = min(port.shape) >= 1 and max(port.shape) <= 1 << 24
        _need(sizes, where, "shape", list(port.shape), "out of range")
        _need(port.offset >= 0, where, "offset", port.offset, "out of range")
        end = max(end, port.offset + port_words(port, engine.lanes))
        if port.fold is not None:
            _check_fold(f"{name}.ports[{i}]", port.fold)
    _need(end == region.words, name, "words", region.words, f"its ports have {end}", f"{end}")


def _check_fold(where: str, fold: Fold) -> None:
    counts = (fold.rows, fold.cols, *fold.stride, *fold.dilation)
    small = min(counts) >= 1 and max(counts) <= MAX_COUNT
    small = small and min(fold.pads) >= 0 and max(fold.pads) <= MAX_COUNT
    small = small and CODE_MIN <= fold.zero_point <= CODE_MAX
    _need(small, where, "fold", fold.to_json(), "out of range")


def _check_program(plan: Plan, index: int) -> None:
    """An engine's program memory holds its steps and loads; its store what these take."""
    engine, own = plan.engines[index], f"engines[{index}]"
    loads = loads_of(engine, plan.transfers, index)
    items = sum(step.engine == index for step in plan.steps) + len(loads)
    least, words = items * step_chunks(engine), engine.memories.program
    why = f"too small for the program of {items} steps and loads"
    _need(least <= words, own, "memories.program", words, why, f"at least {least}")
    least = max((load.source + load.store_words for load in loads), default=0)
    words = engine.memories.store
    why = f"too small for the {least} words that transfers take from it"
    _need(least <= words, own, "memories.store", words, why, f"at least {least}")


def _check_transfers(plan: Plan) -> None:
    """They are in the order of the program, each from a memory to one that it can fill."""
    for i, transfer in enumerate(plan.transfers):
        where = f"transfer {i}"
        _check_index(plan, where, "from_engine", transfer.from_engine)
        _check_index(plan, where, "to_engine", transfer.to_engine)
        first, last = max((x.before for x in plan.transfers[:i]), default=0), len(plan.steps) - 1
        why, works = "not a step, or not in the order of the program", f"{first}..{last}"
        _need(first <= transfer.before <= last, where, "before", transfer.before, why, works)
        if transfer.crosses:
            _check_crossing(where, plan, transfer)
        else:
            _check_load(where, plan, transfer, plan.transfers[:i])


def _check_crossing(where: str, plan: Plan, transfer: Transfer) -> None:
    """It lies in the activations of both engines, whose words are alike."""
    engines = plan.engines[transfer.from_engine], plan.engines[transfer.to_engine]
    lanes = tuple(engine.lanes for engine in engines)
    _need(lanes[0] == lanes[1], where, "to_engine", transfer.to_engine, f"lanes differ: {lanes}")
    for engine, field, name, place, base in (
        (engines[0], "source", transfer.source, "first", transfer.first),
        (engines[1], "target", transfer.target, "at", transfer.at),
    ):
        works = ", ".join(ACTIVATIONS)
        _need(name in ACTIVATIONS, where, field, repr(name), "holds no activations", works)
        depth = engine.memories.act[ACTIVATIONS.index(name)]
        most = MAX_MEMORY_BITS
        _need(1 <= transfer.words <= most, where, "words", transfer.words, "out of range")
        inside = 0 <= base <= depth - transfer.words
        why = f"its {transfer.words} words are not in {name}, which has {depth}"
        _need(inside, where, place, base, why)
    for end in transfer.after:
        there = 0 <= end.step < transfer.before
        _need(there, where, "after", end.step, "not an earlier step", f"0..{transfer.before - 1}")


def _check_load(where: str, plan: Plan, transfer: Transfer, earlier: tuple[Transfer, ...]) -> None:
    """It fills the start of an image's memory with words of that image."""
    engine, source = plan.engines[transfer.to_engine], transfer.source
    why = "the engine has no such memory, or nothing that reads it"
    works = f"{STORE!r}" if engine.has_store else "no transfers"
    _need(engine.has_store and source == STORE, where, "source", repr(source), why, works)
    _need(not transfer.after, where, "after", "not empty", "the engine's program has its place")
    target, words, memories = transfer.target, transfer.words, engine.memories
    depths = dict(zip(Content, (memories.weight, memories.vector, *memories.param), strict=True))
    names = [content.value for content in Content if content.value in memory_map(engine)]
    why = "the loader fills no such memory"
    _need(target in names, where, "target", repr(target), why, ", ".join(names))
    content = Content(target)
    there, depth = _words(plan.images[transfer.to_engine], content), depths[content]
    _need(1 <= words <= depth, where, "words", words, f"its memory has {depth}", f"1..{depth}")
    why, works = f"images.{target} has {there} words", f"0..{there - words}"
    inside = 0 <= transfer.first <= there - words
    _need(inside, where, "first", transfer.first, why, works if words <= there else "")
    _need(transfer.at == 0, where, "at", transfer.at, "the loader begins at the first word", "0")
    same = [x for x in earlier if (x.to_engine, x.before) == (transfer.to_engine, transfer.before)]
    once = target not in [other.target for other in same if not other.crosses]
    _need(once, where, "target", repr(target), "filled twice before one step")
