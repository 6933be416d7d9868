"""Buffers in activation memory: lifetimes, then offsets with the smallest peak."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from weft.machine.plan import Buffer

SOLVE_SECONDS = 2.0
"""Deterministic time that the exact search may take before its best answer stands."""


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """Words of a buffer and the steps (both included) during which it must keep them."""

    tensor: str
    words: int
    bank: int
    first_step: int
    last_step: int

    def overlaps(self, other: "Lifetime") -> bool:
        """Whether both are live at one time."""
        return self.first_step <= other.last_step and other.first_step <= self.last_step


def peak_live(lifetimes: Sequence[Lifetime]) -> int:
    """Words live at the busiest step: no allocation can do with fewer."""
    changes: dict[int, int] = {}  # of the words live, by step
    for x in lifetimes:
        changes[x.first_step] = changes.get(x.first_step, 0) + x.words
        changes[x.last_step + 1] = changes.get(x.last_step + 1, 0) - x.words
    return max(itertools.accumulate(changes[step] for step in sorted(changes)), default=0)


def allocate(lifetimes: list[Lifetime]) -> tuple[Buffer, ...]:
    """An offset in its bank for each buffer; buffers that live at one time do not overlap."""
    banks = (tuple(x for x in lifetimes if x.bank == bank) for bank in (0, 1))
    return tuple(buffer for bank in banks for buffer in _allocate(bank))


@functools.lru_cache(maxsize=64)  # engines with as many lanes ask for the same again and again
def _allocate(lifetimes: tuple[Lifetime, ...]) -> tuple[Buffer, ...]:
    """One bank's buffers.

    First fit by size gives a start; where it exceeds the live peak, CP-SAT looks for better.
    """
    if not lifetimes:
        return ()
    offsets = _first_fit(lifetimes)
    peak = _peak(lifetimes, offsets)
    if peak > peak_live(lifetimes):
        offsets = _solve(lifetimes, offsets, peak)
    return tuple(
        Buffer(
            tensor=x.tensor,
            words=x.words,
            bank=x.bank,
            offset=offset,
            first_step=x.first_step,
            last_step=x.last_step,
        )
        for x, offset in zip(lifetimes, offsets, strict=True)
    )


def _peak(lifetimes: Sequence[Lifetime], offsets: list[int]) -> int:
    return max(x.words + offset for x, offset in zip(lifetimes, offsets, strict=True))


def _first_fit(lifetimes: Sequence[Lifetime]) -> list[int]:
    order = sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].words, i))
    placed: dict[int, set[int]] = {}  # the buffers so far that are live at a step
    offsets: dict[int, int] = {}
    for i in order:
        steps = range(lifetimes[i].first_step, lifetimes[i].last_step + 1)
        taken = sorted(
            (offsets[j], offsets[j] + lifetimes[j].words)
            for j in set().union(*(placed.setdefault(step, set()) for step in steps))
        )
        for step in steps:
            placed[step].add(i)
        offset = 0
        for low, high in taken:
            if offset + lifetimes[i].words <= low:
                break
            offset = max(offset, high)
        offsets[i] = offset
    return [offsets[i] for i in range(len(lifetimes))]


def _solve(lifetimes: Sequence[Lifetime], hint: list[int], limit: int) -> list[int]:
    from ortools.sat.python import cp_model  # takes seconds, and few networks come here

    model = cp_model.CpModel()
    peak = model.new_int_var(peak_live(lifetimes), limit, "peak")
    starts, spans, times = [], [], []
    for x, offset in zip(lifetimes, hint, strict=True):
        start = model.new_int_var(0, limit - x.words, x.tensor)
        model.add(start + x.words <= peak)
        model.add_hint(start, offset)
        starts.append(start)
        spans.append(model.new_fixed_size_interval_var(start, x.words, x.tensor))
        length = x.last_step - x.first_step + 1
        times.append(model.new_fixed_size_interval_var(x.first_step, length, x.tensor))
    model.add_no_overlap_2d(spans, times)
    model.minimize(peak)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1  # one worker and deterministic time: the same answer always
    solver.parameters.max_deterministic_time = SOLVE_SECONDS
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return hint
    return [solver.value(start) for start in starts]
