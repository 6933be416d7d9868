"""A report that cannot be made costs nothing else."""

import argparse
import tempfile
from pathlib import Path

import pytest

from tests.report.support import planned
from weft.cli.reports import grow_report, spared
from weft.errors import ConfigError
from weft.gen.build_dir import read_build, write_build

Captured = pytest.CaptureFixture[str]
ANEW = "all else is complete; `weft report BUILD` writes the report anew\n"


def test_a_build_without_its_report(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build is in place before its report is begun, and what fails there is said."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    args = argparse.Namespace(words=("compile", "digits.onnx"))
    known, place = planned(), tmp_path / "build"

    def finish(build: object) -> None:
        with spared(args):
            raise ZeroDivisionError("no cycles")

    write_build(place, known.graph, known.plan, {}, finish=finish)
    assert read_build(place).plan == known.plan
    said = capsys.readouterr().err
    assert said.startswith(
        "the report was not written: ZeroDivisionError: no cycles\nthis is a fault"
    )
    assert said.endswith(ANEW)
    (fault,) = tmp_path.glob("weft-fault-*.txt")
    assert "command: weft 'compile' 'digits.onnx'" in fault.read_text("utf-8")


def test_a_damaged_report_costs_no_result(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "report.json").write_text("[")
    args = argparse.Namespace(build=tmp_path, command="simulate", words=("simulate", "build"))
    grow_report(args, simulation={"bit_exact": True})
    said = capsys.readouterr().err
    assert said.startswith(f"the report was not written: {tmp_path / 'report.json'}")
    assert said.endswith(ANEW)


def test_an_interruption_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt), spared(argparse.Namespace(words=())):
        raise KeyboardInterrupt
    interrupted = ConfigError("loading")
    interrupted.__cause__ = KeyboardInterrupt()
    with pytest.raises(ConfigError), spared(argparse.Namespace(words=())):
        raise interrupted
