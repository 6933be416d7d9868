"""Commands that run side by side, and commands that are ended at random moments.

    python bench/endings.py --pairs 20 --moments 100

Pairs of commands in one folder must both be right, or one of them refused in one line. After
SIGTERM or SIGKILL no process may be left after two seconds, and after one more command no draft;
the folder must hold the old build or the new one. The network and its engine are the smallest, so
that what takes long is starting and ending. Trials run side by side, each worker with a folder of
its own; some begin with nothing but the object cache of an earlier simulation, the others with its
binaries. These states are kept in build/endings as long as weft's sources stay the same.

The commands take turns, so that a run that is cut short has tried all of them alike. Prints every
failure, and from time to time one line per command and signal with the tools that were at work
when the signal came; the exit code is 1 if there was any failure.
"""

import argparse
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from trials import ROOT, Bench, Outcome, Variant, sources

KEPT = ROOT / "build" / "endings"
PR_SET_PDEATHSIG = 1
GOLDEN = (5**0.5 - 1) / 2
EVERY = 5  # moments of each command, and pairs, between two reports
KINDS = (
    *(("simulate", "simulate"), ("compile", "compile"), ("run", "run")),
    *(("simulate", "compile"), ("run", "simulate"), ("synth", "synth")),
)


@dataclass
class Tally:
    """How a command has ended by one signal so far."""

    moments: int = 0
    wrong: int = 0
    after: int = 0  # had ended when the signal was due
    met: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.moments += 1
        self.wrong += bool(outcome.failures)
        self.after += outcome.ended
        self.met.update(outcome.tools)

    def __str__(self) -> str:
        met = ", ".join(f"{tool} {count}" for tool, count in self.met.most_common()) or "no tool"
        return f"{self.moments} moments, {self.wrong} wrong, {self.after} after its end; met {met}"


_bench: Bench


def _begin(folder: Path, kept: Path) -> None:
    """A worker's bench; the worker ends with its parent."""
    global _bench
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _bench = Bench(folder / f"worker{os.getpid()}", kept)


def _pair(names: tuple[str, str], index: int) -> Outcome:
    return _bench.pair(names, index)


def _length(name: str, index: int) -> float:
    return _bench.length(_bench.commands()[name][index])


def _end(name: str, index: int, number: signal.Signals, moment: float) -> Outcome:
    return _bench.end(_bench.commands()[name][index], number, moment)


def run_pairs(pool: ProcessPoolExecutor, count: int, chosen: Sequence[str]) -> int:
    """Print how the pairs of chosen commands went; returns the number of failures."""
    failures = 0
    for names in KINDS:
        if not set(names) <= set(chosen):
            continue
        refused = 0
        for number, outcome in enumerate(pool.map(_pair, repeat(names), range(count)), 1):
            failures += _report(outcome)
            refused += outcome.refused
            if number % EVERY == 0 or number == count:
                what = " and ".join(names)
                print(f"{what}: {number} pairs, {refused} with a refusal", flush=True)
    return failures


def run_endings(
    pool: ProcessPoolExecutor,
    bench: Bench,
    count: int,
    chosen: Sequence[str],
    signals: Sequence[signal.Signals],
) -> int:
    """Print how the commands ended; returns the number of failures."""
    begin = time.perf_counter()
    commands = {name: bench.commands()[name] for name in chosen}
    first = [(name, kinds.index(kind)) for name, kinds in commands.items() for kind in set(kinds)]
    seconds = dict(zip(first, pool.map(_length, *zip(*first, strict=True)), strict=True))
    for (name, index), length in seconds.items():
        print(f"{name} from {commands[name][index].state}: {length:.1f} s", flush=True)
    tallies = {(name, number): Tally() for name in chosen for number in signals}
    trials = list(_trials(commands, signals, count, seconds))
    failures = 0
    for number, (trial, outcome) in enumerate(
        zip(trials, pool.map(_end, *zip(*trials, strict=True)), strict=True), 1
    ):
        tallies[trial[0], trial[2]].add(outcome)
        failures += _report(outcome)
        if number % (EVERY * len(tallies)) == 0 or number == len(trials):
            print(f"after {time.perf_counter() - begin:.0f} s:")
            for (name, kind), tally in tallies.items():
                print(f"  {name}, {kind.name}: {tally}", flush=True)
    return failures


def _trials(
    commands: Mapping[str, Sequence[Variant]],
    signals: Sequence[signal.Signals],
    count: int,
    seconds: Mapping[tuple[str, int], float],
) -> Iterator[tuple[str, int, signal.Signals, float]]:
    """Command, variant, signal and moment of every trial, the commands by turns.

    Each variant's moments are spread over its whole length: the golden ratio's multiples, from a
    random one on, leave no large gap wherever they stop.
    """
    rng = random.Random(0)
    spread = defaultdict(rng.random)
    for turn in range(count):
        for name, kinds in commands.items():
            index = kinds.index(kinds[turn % len(kinds)])
            for number in signals:
                spread[name, index, number] += GOLDEN
                yield name, index, number, spread[name, index, number] % 1 * seconds[name, index]


def _report(outcome: Outcome) -> int:
    for line in outcome.failures:
        print(f"FAILED: {line}", flush=True)
    return len(outcome.failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--moments", type=int, default=100, help="of each command and signal")
    parser.add_argument("--command", action="append", help="only this one, and pairs of it")
    parser.add_argument("--signal", action="append", help="only this one, SIGTERM or SIGKILL")
    parser.add_argument("--jobs", type=int, default=4, help="trials side by side (default: 4)")
    args = parser.parse_args()
    signals = [signal.Signals[name] for name in args.signal or ("SIGTERM", "SIGKILL")]
    kept = KEPT / sources()
    for path in KEPT.glob("*"):
        if path != kept:
            shutil.rmtree(path)
    with tempfile.TemporaryDirectory(prefix="weft-endings") as text:
        folder = Path(text)
        bench = Bench(folder / "main", kept)
        bench.prepare()
        chosen = args.command or list(bench.commands())
        with ProcessPoolExecutor(args.jobs, initializer=_begin, initargs=(folder, kept)) as pool:
            failures = run_pairs(pool, args.pairs, chosen) if args.pairs else 0
            if args.moments:
                failures += run_endings(pool, bench, args.moments, chosen, signals)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
