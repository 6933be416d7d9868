"""Fixtures for all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = (ROOT / os.environ.get("WEFT_MODELS", "../shared/models")).resolve()
CASES = (ROOT / os.environ.get("WEFT_CASES", "../shared/cases")).resolve()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def model_file() -> Callable[[str], Path]:
    """``model_file("mlperf_tiny/ic.onnx")``: a third-party file, or a skip where it is absent.

    These files are not part of the project. They are looked for in the folder that WEFT_MODELS
    names, a relative path counting from the project's root.
    """

    def find(name: str) -> Path:
        path = MODELS / name
        if not path.is_file():
            pytest.skip(f"{name} not found in {MODELS} (set WEFT_MODELS to the folder that has it)")
        return path

    return find


@pytest.fixture(scope="session")
def case_file() -> Callable[[str], Path]:
    """``case_file("04-gemm-beta.onnx")``: a file of the folder that WEFT_CASES names, or a skip."""

    def find(name: str) -> Path:
        path = CASES / name
        if not path.is_file():
            pytest.skip(f"{name} not found in {CASES} (set WEFT_CASES to the folder that has it)")
        return path

    return find
