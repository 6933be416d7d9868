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
from weft.machine.images import CHUNK_BITS, STORE_BITS, word_of
from weft.machine.layout import port_words
from weft.machine.memory_map import memory_map
from weft.machine.plan import (
    MAX_COUNT,
    POINTS,
    Content,
    Fold,
    Images,
    Load,
    Params,
    Plan,
    Region,
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
    engine = plan.engine
    _check_engine(engine)
    _check_images(engine, plan.images)
    for name, region in (("inputs", plan.inputs), ("outputs", plan.outputs)):
        _check_region(name, engine, region)
    for i, buffer in enumerate(plan.buffers):
        where = f"buffer {i} ({buffer.tensor!r})"
        _check_place(where, engine, buffer.bank, "offset", buffer.offset, buffer.words)
        first, last, end = buffer.first_step, buffer.last_step, len(plan.steps) + 1
        _need(-1 <= first <= last, where, "first_step", first, "not -1..last_step")
        _need(last <= end, where, "last_step", last, f"the plan ends with step {end - 2}")
    check_overlaps(plan.buffers)
    for i, step in enumerate(plan.steps):
        where = step_name(i, step)
        StepRules(where, engine, step, plan.steps[i - 1] if i else None).check()
        _check_loads(where, plan, step.loads)
    _check_program(plan)
    # Not before every count is known to be small.
    cycles = timing.cycles(plan)
    small = 0 < cycles < 1 << CYCLE_BITS
    _need(small, "the plan", "cycles", f"{cycles:,}", "more than the core's counter holds")


def _need(
    condition: object, where: str, field: str, value: object, why: str, works: str = ""
) -> None:
    if not condition:
        raise PlanFault(where, field, value, why, works)


def _check_engine(engine: Engine) -> None:
    for name in ("lanes", "columns", "array_requant", "vector_requant", "vector_taps"):
        count = getattr(engine, name)
        _need(1 <= count <= MAX_LANES, ENGINE, name, count, "out of range", f"1..{MAX_LANES}")
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
        _need(1 <= words <= most, ENGINE, field, words, "out of range", f"1..{most}")
    words = memories.store
    most = MAX_MEMORY_BITS // STORE_BITS if engine.has_store else 0
    _need(0 <= words <= most, ENGINE, "memories.store", words, "out of range", f"0..{most}")
    try:
        memory_map(engine)
    except ValueError as error:
        raise PlanFault(ENGINE, "memories", "too large", str(error)) from error


def _check_images(engine: Engine, images: Images) -> None:
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
            _need(words <= depth, ENGINE, f"memories.{name}", depth, why, f"at least {words}")


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


def _check_place(where: str, engine: Engine, bank: int, field: str, base: int, words: int) -> None:
    _need(bank in (0, 1), where, "bank", bank, "there are two", "0 or 1")
    depth = engine.memories.act[bank]
    _need(words >= 1, where, "words", words, "it has none")
    why = f"its {words} words are not in bank {bank}, which has {depth}"
    works = f"0..{depth - words}, or more words in {ENGINE}.memories.act[{bank}]"
    _need(0 <= base <= depth - words, where, field, base, why, works if words <= depth else "")


def _check_region(name: str, engine: Engine, region: Region) -> None:
    _check_place(name, engine, region.bank, "base", region.base, region.words)
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


def _check_program(plan: Plan) -> None:
    """The program memory holds all steps and loads, and a streamed engine's first step loads."""
    items = len(plan.steps) + sum(len(step.loads) for step in plan.steps)
    least, words = items * step_chunks(plan.engine), plan.engine.memories.program
    why = f"too small for the program of {items} steps and loads"
    _need(least <= words, ENGINE, "memories.program", words, why, f"at least {least}")


def _check_loads(where: str, plan: Plan, loads: tuple[Load, ...]) -> None:
    for i, load in enumerate(loads):
        field = f"loads[{i}]"
        value = load.content.value
        _need(plan.engine.has_store, where, field, value, "the engine has no store", "no loads")
        once = sum(other.content is load.content for other in loads) == 1
        _need(once, where, field, value, "loaded twice before one step")
        _check_load(where, field, plan, load)


def _check_load(where: str, field: str, plan: Plan, load: Load) -> None:
    engine, content = plan.engine, load.content
    there, memories = _words(plan.images, content), plan.engine.memories
    depths = (memories.weight, memories.vector, *memories.param)
    depth = dict(zip(Content, depths, strict=True))[content]
    inside = load.first >= 0 and 1 <= load.words <= there - load.first
    span = f"{load.first} and the next {load.words - 1}"
    why = f"images.{content.value} has {there} words"
    _need(inside, where, f"{field}.first", span, why)
    why = f"its memory has {depth}"
    _need(load.words <= depth, where, f"{field}.words", load.words, why, f"1..{depth}")
    word = word_of(engine, content)
    wide = word.chunk_bits > STORE_BITS
    _need(load.wide == wide, where, f"{field}.wide", load.wide, "so are not the writes", f"{wide}")
    chunks = load.words << word.address_bits
    _need(
        load.chunks == chunks,
        where,
        f"{field}.chunks",
        load.chunks,
        "not that of its words",
        f"{chunks}",
    )
    most = memories.store - load.store_words
    why = f"its {load.store_words} words are not in the store, which has {memories.store}"
    _need(0 <= load.source <= most, where, f"{field}.source", load.source, why)
    for i, step in enumerate(plan.steps):
        for other in step.loads:
            apart = load.source + load.store_words <= other.source
            apart = apart or other.source + other.store_words <= load.source
            same = (load.content, load.first, load.words) == (
                other.content,
                other.first,
                other.words,
            )
            why = f"it shares words of the store with a load of {step_name(i, step)}"
            _need(
                apart or (same and load.source == other.source),
                where,
                f"{field}.source",
                load.source,
                why,
            )
