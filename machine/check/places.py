"""Where the steps of a plan may read and write: the buffers of their operators' tensors."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from weft.machine.check.fault import PlanFault, step_name
from weft.machine.plan import Buffer, Plan


@dataclass(frozen=True)
class Tensors:
    """Names of the buffers that a step's operator reads, and of the one that it writes."""

    reads: tuple[str, ...]
    writes: str


class Places:
    """The buffers of a plan, and which of them each step uses.

    Raises PlanFault, also later, for an access outside of the buffers or beyond their lifetimes.
    """

    def __init__(self, plan: Plan, tensors: list[Tensors]):
        self.plan = plan
        by_name = {buffer.tensor: buffer for buffer in plan.buffers}
        self._reads = [[by_name[name] for name in step.reads] for step in tensors]
        self._writes = [[by_name[step.writes]] for step in tensors]
        for index, (reads, writes) in enumerate(zip(self._reads, self._writes, strict=True)):
            for buffer in (*reads, *writes):
                _check_life(plan, index, buffer)

    def read(self, index: int, words: np.ndarray) -> None:
        """A step reads these words of its bank."""
        read = self.plan.steps[index].read
        if words.size and not any(_inside(b, read.bank, words) for b in self._reads[index]):
            # Operands of one step may lie in several buffers.
            covered = np.zeros(words.shape, bool)
            for buffer in self._reads[index]:
                covered |= _covers(buffer, read.bank, words)
            if not covered.all():
                self._refuse(index, "read", read.bank, read.base, words[~covered])

    def write(self, index: int, words: np.ndarray) -> None:
        """A step writes these words of its bank."""
        write = self.plan.steps[index].write
        covered = _covers(self._writes[index][0], write.bank, words)
        if not covered.all():
            self._refuse(index, "write", write.bank, write.base, words[~covered])

    def _refuse(self, index: int, kind: str, bank: int, base: int, words: np.ndarray) -> NoReturn:
        buffers = self._reads[index] if kind == "read" else self._writes[index]
        theirs = " and ".join(_span(buffer) for buffer in buffers)
        other_bank = all(buffer.bank != bank for buffer in buffers)
        field, value = ("bank", bank) if other_bank else ("base", base)
        raise PlanFault(
            step_name(index, self.plan.steps[index]),
            f"{kind}.{field}",
            value,
            f"it {kind}s word {int(words.ravel()[0])} of bank {bank}",
            theirs,
        )


def _span(buffer: Buffer) -> str:
    last = buffer.offset + buffer.words - 1
    return f"buffer {buffer.tensor!r} (words {buffer.offset}..{last} of bank {buffer.bank})"


def _covers(buffer: Buffer, bank: int, words: np.ndarray) -> np.ndarray:
    there = (words >= buffer.offset) & (words < buffer.offset + buffer.words)
    return there & (buffer.bank == bank)


def _inside(buffer: Buffer, bank: int, words: np.ndarray) -> bool:
    return bool(_covers(buffer, bank, words).all())


def check_overlaps(buffers: tuple[Buffer, ...]) -> None:
    """Raise PlanFault where two buffers that are live at one time share words."""
    for i, a in enumerate(buffers):
        for b in buffers[:i]:
            live = a.first_step <= b.last_step and b.first_step <= a.last_step
            apart = a.offset + a.words <= b.offset or b.offset + b.words <= a.offset
            if live and (a.engine, a.bank) == (b.engine, b.bank) and not apart:
                first, last = max(a.first_step, b.first_step), min(a.last_step, b.last_step)
                raise PlanFault(
                    f"buffer {i} ({a.tensor!r})",
                    "offset",
                    a.offset,
                    f"its {a.words} words overlap {_span(b)}, and both are live from step {first} "
                    f"to {last}",
                    f"an offset from {b.offset + b.words} on, or the other bank",
                )


def _check_life(plan: Plan, index: int, buffer: Buffer) -> None:
    place = plan.buffers.index(buffer)
    where = f"buffer {place} ({buffer.tensor!r})"
    user = step_name(index, plan.steps[index])
    for field, value, wrong in (
        ("first_step", buffer.first_step, index < buffer.first_step),
        ("last_step", buffer.last_step, index > buffer.last_step),
    ):
        if wrong:
            raise PlanFault(where, field, value, f"{user} uses it", f"{index}")
