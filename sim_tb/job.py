"""What the simulator is asked and what it answers, and the files they travel in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from weft.machine.images import CHUNK_BITS, IMAGE_ADDRESS_BITS
from weft.value import Value

IMAGE_WORD = np.dtype([("address", ">u4"), ("data", ">u8")])
_WAITING_FOR = {3: "in_ready", 4: "start_ready", 5: "the outputs and busy to fall"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Job(Value):
    """Image writes and then S inferences with one set of sizes.

    images: int64 [n, 2], pairs (address, data), written in order while the design is idle.
    inputs: int8 or uint8 [S, n_in, K], the input words of each sample.
    n_out: output words per sample. max_cycles: a sample that takes more clock cycles, from its
    first offered input word to its last output, ends the job. stalls: random gaps on all streams,
    the same for the same job; they make loading and reading about twice as long.
    """

    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    inputs: np.ndarray
    n_out: int
    max_cycles: int
    stalls: bool = False

    def _check(self) -> None:
        if self.inputs.ndim != 3 or self.inputs.dtype not in (np.int8, np.uint8):
            raise ValueError("Job.inputs must be an int8 or uint8 array [S, n_in, K]")
        if min(*self.inputs.shape, self.n_out) < 1:
            raise ValueError("Job: samples, input words, lanes and n_out must be positive")
        if not 1 <= self.max_cycles < 1 << 32:
            raise ValueError(f"Job.max_cycles must be in 1..2**32-1, not {self.max_cycles}")
        if self.images.ndim != 2 or self.images.shape[1] != 2 or self.images.dtype != np.int64:
            raise ValueError("Job.images must be an int64 array [n, 2] of (address, data)")
        limit = np.array([1 << IMAGE_ADDRESS_BITS, 1 << CHUNK_BITS])
        if np.any((self.images < 0) | (self.images >= limit)):
            raise ValueError(
                f"Job.images: address must have {IMAGE_ADDRESS_BITS} bits and data "
                f"{CHUNK_BITS} bits"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class JobResult(Value):
    """What a job gave; all arrays hold the finished samples only (all S unless ``fault``).

    outputs: int8 [S, n_out, K]. All others int64 [S], in clock cycles: cycles: the design's own
    counter; busy_cycles: the test bench's count from the accepted start until busy has fallen;
    load_cycles: first offered to last accepted input word; read_cycles: first offered to last
    accepted output word. violations: clock cycles in which the output stream dropped or changed a
    waiting word or offered one too many. fault: "" or what went wrong, in words.
    """

    outputs: np.ndarray
    cycles: np.ndarray
    busy_cycles: np.ndarray
    load_cycles: np.ndarray
    read_cycles: np.ndarray
    timeout: bool
    violations: int
    fault: str


def write_job(job: Job, index: int, directory: Path) -> dict[str, int]:
    """Write job ``index``'s stimulus files; returns the values of weft_tb's signals for it."""
    words = np.zeros(len(job.images), IMAGE_WORD)
    words["address"], words["data"] = job.images.T
    _write_words(directory / f"job_{index}.image.hex", words, IMAGE_WORD.itemsize)
    samples, in_words, lanes = job.inputs.shape
    _write_words(directory / f"job_{index}.input.hex", job.inputs[..., ::-1], lanes)
    return {
        "image_words": len(words),
        "samples": samples,
        "in_words": in_words,
        "out_words": job.n_out,
        "max_cycles": job.max_cycles,
        "stalls": int(job.stalls),
    }


def read_result(job: Job, index: int, directory: Path, status: dict[str, Any]) -> JobResult:
    """The result of job ``index`` from its files and ``status``, weft_tb's signals at its end."""
    lanes, done = job.inputs.shape[2], status["sample"]
    text = (directory / f"job_{index}.output.hex").read_text()
    words = np.frombuffer(bytes.fromhex(text), np.int8).reshape(-1, lanes)[:, ::-1]
    outputs = words[: done * job.n_out].reshape(done, job.n_out, lanes)
    table = (directory / f"job_{index}.counts.txt").read_text().split()
    counts = np.array(table, np.int64).reshape(done, 4)
    return JobResult(
        outputs=outputs,
        cycles=counts[:, 0],
        busy_cycles=counts[:, 1],
        load_cycles=counts[:, 2],
        read_cycles=counts[:, 3],
        timeout=bool(status["timed_out"]),
        violations=status["violations"],
        fault=_fault(job, status),
    )


def _write_words(path: Path, values: np.ndarray, word_bytes: int) -> None:
    data = np.ascontiguousarray(values).tobytes()
    path.write_text((data.hex("\n", word_bytes) + "\n") if data else "")


def _fault(job: Job, status: dict[str, Any]) -> str:
    faults = []
    if status["timed_out"]:
        faults.append(
            f"sample {status['sample']} took more than {job.max_cycles} cycles, waiting for "
            f"{_WAITING_FOR[status['stuck']]} ({status['accepted']} of {job.inputs.shape[1]} input "
            f"words accepted, {status['received']} of {job.n_out} output words received)"
        )
    if status["violations"]:
        faults.append(
            f"in {status['violations']} cycles the output stream dropped or changed a waiting word "
            "or offered a word too many"
        )
    return "; ".join(faults)
