"""Runs inside the simulator (a cocotb test module): hands the jobs to weft_tb one by one.

Reads ``jobs.json`` of the run directory, a list with the values of weft_tb's signals per job, and
writes ``results.json``, the list of its status signals at each job's end.
"""

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ValueChange

STATUS = ("timed_out", "bad_file", "stuck", "sample", "accepted", "received", "violations")


@cocotb.test()
async def run_jobs(dut: Any) -> None:
    """Kick every job and wait for its end; the design is never touched from here."""
    results = []
    for index, signals in enumerate(json.loads(Path("jobs.json").read_text())):
        for name, value in signals.items():
            dut[name].value = value
        dut.request.value = index + 1
        await ValueChange(dut.done)
        results.append({name: int(dut[name].value) for name in STATUS})
    Path("results.json").write_text(json.dumps(results))
