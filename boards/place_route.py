"""nextpnr: the placement that looks fastest, and its routing."""

from typing import Any

from weft.boards.job import FOLDER, Job
from weft.boards.synth_report import read_estimate, read_pnr
from weft.boards.toolchain import RunError, Tool

MAX_SEEDS = 3
# Failures that another seed may cure.
SEED_DEPENDENT = ("failed to route", "unroutable", "routing failed", "unable to find legal")


def run_nextpnr(job: Job, nextpnr: Tool) -> dict[str, Any]:
    """nextpnr with one seed after the other until one is routed; fields of SynthReport.

    Raises ToolError.
    """
    order, seconds = _order(job, nextpnr)
    tried: list[int] = []
    for seed in order:
        tried.append(seed)
        job.progress(f"nextpnr: place and route, seed {seed}, {job.clock_hz / 1e6:g} MHz")
        try:
            seconds += _run(job, nextpnr, seed, f"nextpnr-{seed}.log")
            break
        except RunError as error:
            if len(tried) == len(order) or not _curable(error):
                raise
            seconds += error.seconds
            job.progress(f"nextpnr: no result with seed {seed}, trying the next one")
    log = job.build.folder / FOLDER / f"nextpnr-{tried[-1]}.log"
    comb, timing = read_pnr(job.build.folder / job.files.report, log, job.family, job.clock_hz)
    took = round(seconds, 1)
    return {"comb": comb, "timing": timing, "seeds": tuple(tried), "pnr_seconds": took}


def _order(job: Job, nextpnr: Tool) -> tuple[list[int], float]:
    """The seeds to route, at most MAX_SEEDS, and the seconds that choosing them took.

    With several placements those that nextpnr estimates to be fast come first: what is not placed
    well is not routed well, and routing takes longer.
    """
    if job.placements == 1:
        return [job.seed + i for i in range(MAX_SEEDS)], 0.0
    estimates: dict[int, float] = {}
    seconds = 0.0
    for seed in range(job.seed, job.seed + job.placements):
        log = f"place-{seed}.log"
        try:
            seconds += _run(job, nextpnr, seed, log, "--no-route")
        except RunError as error:
            if not _curable(error) or (seed == job.seed + job.placements - 1 and not estimates):
                raise
            seconds += error.seconds
            job.progress(f"nextpnr: seed {seed} is not placed")
            continue
        estimates[seed] = read_estimate(job.build.folder / FOLDER / log)
        job.progress(f"nextpnr: seed {seed} placed: {estimates[seed]:g} MHz before routing")
    best = sorted(estimates, key=lambda seed: -estimates[seed])
    return best[:MAX_SEEDS], seconds


def _run(job: Job, nextpnr: Tool, seed: int, log: str, *more: str) -> float:
    """One run of nextpnr; its wall seconds. Raises RunError."""
    arguments = job.family.nextpnr_arguments(job.board.device, job.files, job.clock_hz)
    words = [*arguments, "--seed", str(seed), "--timing-allow-fail", *more]
    return job.run(nextpnr, words, log)


def _curable(error: RunError) -> bool:
    """Whether another seed may help."""
    text = error.output.lower()
    return error.timed_out or any(phrase in text for phrase in SEED_DEPENDENT)
