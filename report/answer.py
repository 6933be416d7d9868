"""The answer first: how fast, whether it fits and is exact, what bounds it, what comes next."""

from collections.abc import Mapping
from typing import Any

from weft.report.cycles import LATENCY, LOADING, MULTIPLYING, READING, REQUANTISING

BOUNDS = {
    MULTIPLYING: "multiply-accumulates: every multiplier that the layers can use is busy then",
    READING: "words read from activation memory, by layers that do not multiply (Add, pooling)",
    REQUANTISING: "requantisation: results come faster than the output path takes them",
    LOADING: "weights copied from the store before the layers that need them",
    LATENCY: "latency: pipelines fill and drain between layers, and rows wait for others",
}
"""What it means that cycles go to a part."""


def answer(report: Mapping[str, Any]) -> dict[str, Any]:
    """The ``answer`` part of report.json, from its other parts."""
    analysis, synthesis = report["analysis"], report.get("synthesis") or {}
    cycles = report["prediction"]["cycles"]
    clock_mhz = synthesis.get("clock_mhz") or analysis["board"]["clock_mhz"]
    first = analysis["bounds"][0]
    return {
        "cycles": cycles,
        "clock_mhz": clock_mhz,
        "clock_from": "the last synthesis" if synthesis.get("clock_mhz") else "the board's file",
        "microseconds": round(cycles / clock_mhz, 2),
        "inferences_per_second": round(clock_mhz * 1e6 / cycles, 1),
        "fit": _fit(analysis["resources"], synthesis),
        "exact": _exact(report),
        "bound": {**first, "meaning": BOUNDS[first["part"]]},
        "next": _next(report),
    }


def _fit(resources: list[dict[str, Any]], synthesis: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the board is large enough; the fullest resource, of what it may be filled to before
    synthesis, and of the whole device after it."""
    shares = {row["resource"]: (row["predicted"], row["allowed"]) for row in resources}
    by = "predicted"
    if synthesis.get("lut") is not None:
        by = "synthesised"
        shares = {r["resource"]: (synthesis[r["resource"]], r["device"]) for r in resources}
    name, (used, of) = max(shares.items(), key=lambda item: item[1][0] / max(1, item[1][1]))
    return {
        "fits": used <= of,
        "by": by,
        "resource": name,
        "used": used,
        "of": of,
        "share": round(used / max(1, of), 4),
        "clock_met": (synthesis.get("timing") or {}).get("clock_met"),
        "fmax_mhz": synthesis.get("fmax_mhz"),
    }


def _exact(report: Mapping[str, Any]) -> dict[str, Any]:
    """What simulation and board have shown; all of it has to agree."""
    runs = {
        "simulation": report.get("simulation"),
        "run": report.get("run"),
        "evaluation": (report.get("evaluation") or {}).get("rtl"),
    }
    seen = {name: run for name, run in runs.items() if run and run.get("bit_exact") is not None}
    if not seen:
        return {"verdict": "not checked yet", "checked": False, "samples": 0}
    exact = all(run["bit_exact"] for run in seen.values())
    cycles = report["prediction"]["cycles"]
    counted = all(run.get("cycles", cycles) == cycles for run in seen.values())
    verdict = "bit-exact" if exact else "outputs differ from the reference"
    if exact and not counted:
        verdict = "bit-exact, but the cycles are not those predicted"
    return {
        "verdict": verdict,
        "checked": True,
        "good": exact and counted,
        "samples": sum(run["samples"] for run in seen.values()),
    }


def _next(report: Mapping[str, Any]) -> str:
    """The command that tells most next."""
    for key, command in (
        ("simulation", "weft simulate BUILD"),
        ("synthesis", "weft synth BUILD"),
        ("evaluation", "weft evaluate BUILD --data DATA.npz"),
    ):
        if key not in report:
            return command
    return "weft flash BUILD"
