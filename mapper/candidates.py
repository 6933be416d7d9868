"""Engines worth trying on a device."""

import math
from collections.abc import Iterator

from weft.errors import ConfigError, FitError, counted
from weft.machine.engine import MAX_COMPACT_LANES, Engine, Style, Styles
from weft.machine.target import Target

SIZES = (1, 2, 4, 8, 16, 32)
"""Lanes and columns that are tried; any others can be pinned."""

LARGER = "try a larger board"
"""In the messages about what does not fit; the command line, which knows the boards, says which."""

COMPACT_LANES = (1, 2, 4)
COMPACT_COLUMNS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
"""The same on small devices."""

REQUANT_PAIRS = (
    *((1, 1), (1, 2), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2)),
    *((4, 4), (4, 8), (8, 2), (8, 4), (8, 8)),
)
"""Results that the array's and the vector unit's output path requantise per cycle."""


def candidates(
    target: Target,
    lanes: int | None,
    columns: int | None,
    requant_lanes: tuple[int, int] | None,
    *,
    taps: tuple[int, ...] = (1,),
    packable: bool = False,
    weight_bits: int = 8,
) -> Iterator[Engine]:
    """Engines to try, the largest first, with open memory depths, within the target's multipliers.

    requant_lanes: of the array's and the vector unit's output path.

    Raises FitError when no open size is within them, ConfigError when the requantise lanes divide
    none.
    """
    facts = target.facts
    if not facts.overlapped:
        yield from _compact(target, lanes, columns, requant_lanes, weight_bits)
        return
    sizes = [
        (k, n)
        for k in ((lanes,) if lanes else SIZES)
        for n in ((columns,) if columns else SIZES)
        if k * n <= target.dsp * max(facts.products_per_dsp, 1 + (packable and n % 2 == 0))
        or (lanes and columns)
    ]
    sizes.sort(key=lambda size: (-size[0] * size[1], abs(size[0] - size[1])))
    if not sizes:
        k, n = lanes or SIZES[0], columns or SIZES[0]
        raise FitError(
            f"no engine fits {target.name}: it needs {counted(k * n, 'DSP multiplier')} with "
            f"{counted(k, 'lane')} and {counted(n, 'column')}, the board has "
            f"{target.dsp}; {advice(lanes, columns)}"
        )
    divided = False
    for k, n in sizes:
        for array, vector in (requant_lanes,) if requant_lanes else REQUANT_PAIRS:
            if k % array == 0 and n % array == 0 and k % vector == 0:
                divided = True
                for t in taps:
                    yield _styled(target, k, n, array, vector, t, packable and n % 2 == 0)
    small = (lanes or 1) <= MAX_COMPACT_LANES
    if facts.compact and small and requant_lanes in (None, (1, 1)):
        divided = True
        yield from _compact(target, lanes, columns, requant_lanes, weight_bits)
    if not divided:
        assert requant_lanes
        reason = (
            f"does not divide both {lanes} and {columns}"
            if lanes and columns
            else f"goes with none of the sizes tried ({', '.join(map(str, SIZES))}); "
            "pin --lanes and --columns, too"
        )
        raise ConfigError(
            f"requantise lanes must divide lanes and columns: {_text(requant_lanes)} {reason}"
        )


def _styled(
    target: Target, k: int, n: int, array: int, vector: int, taps: int, packable: bool
) -> Engine:
    """Multipliers go into DSPs in order of need until the usable share is spent."""
    left = int(target.dsp * target.facts.dsp_share)
    share = target.facts.products_per_dsp
    packed = packable and share == 1 and k * n > left
    styles = [Style.PACKED if packed else Style.DSP]
    left -= math.ceil(k * n / (share + packed))
    for count in (4 * (array + vector), math.ceil(k * taps / share)):
        style = Style.DSP if count <= left else Style.LUT
        left -= count if style is Style.DSP else 0
        styles.append(style)
    return Engine(
        lanes=k,
        columns=n,
        array_requant=array,
        vector_requant=vector,
        vector_taps=taps,
        styles=Styles(array=styles[0], requant=styles[1], vector=styles[2]),
    )


def _compact(
    target: Target,
    lanes: int | None,
    columns: int | None,
    requant_lanes: tuple[int, int] | None,
    weight_bits: int,
) -> Iterator[Engine]:
    """Compact engines: activations in block RAM or large RAMs, weights resident or streamed."""
    if requant_lanes and requant_lanes != (1, 1):
        raise ConfigError(
            f"--requant-lanes {_text(requant_lanes)}: engines for {target.family} requantise one "
            "result at a time; leave it out"
        )
    if (lanes or 1) > MAX_COMPACT_LANES:
        raise FitError(
            f"no engine fits {target.name}: those for {target.family} have at most "
            f"{MAX_COMPACT_LANES} lanes, not {lanes}; try fewer --lanes"
        )
    for k in (lanes,) if lanes else COMPACT_LANES:
        for n in (columns,) if columns else COMPACT_COLUMNS:
            for single_port in (False, True) if target.spram else (False,):
                for streamed in (False, True) if target.spram else (False,):
                    yield Engine(
                        lanes=k,
                        columns=n,
                        array_requant=1,
                        vector_requant=1,
                        compact=True,
                        single_port=single_port,
                        streamed=streamed,
                        styles=_dual(target, k, n, weight_bits),
                    )


def _dual(target: Target, k: int, n: int, weight_bits: int) -> Styles:
    """Multipliers that split in two (for 8-bit weights only), in order of need; what is
    left over goes into LUTs."""
    left = target.dsp
    styles = []
    if target.facts.splits_dsp and weight_bits == 8:
        product, array, vector = Style.DUAL, k * -(-n // 2), -(-k // 2)
    else:
        share = target.facts.products_per_dsp
        product, array, vector = Style.DSP, -(-k * n // share), -(-k // share)
    for style, count in ((product, array), (Style.DSP, 1), (product, vector)):
        styles.append(style if count <= left else Style.LUT)
        left -= count if count <= left else 0
    return Styles(array=styles[0], requant=styles[1], vector=styles[2])


def _text(requant_lanes: tuple[int, int]) -> str:
    """As the command line has it: one number for both output paths, or array+vector."""
    array, vector = requant_lanes
    return f"{array}" if array == vector else f"{array}+{vector}"


def advice(lanes: int | None, columns: int | None) -> str:
    """What to try where nothing fits."""
    pinned = "; fewer --lanes and --columns may do" if lanes or columns else ""
    return f"{LARGER}{pinned}"
