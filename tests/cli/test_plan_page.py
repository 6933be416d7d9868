"""docs/plan.md: its commands are run in order, and end as it says."""

import re
import shlex
from pathlib import Path

import pytest

from weft.cli.main import main
from weft.gen import hardware, soc
from weft.gen.build_dir import read_build
from weft.machine import timing
from weft.machine.engine import Unit


def test_the_page(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hardware, "verilog_text", lambda plan: "module weft_top;\nendmodule\n")
    monkeypatch.setattr(soc, "soc_verilog", lambda params: "module weft_soc;\nendmodule\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(root / "examples")
    page = (root / "docs/plan.md").read_text("utf-8")
    *codes, last = _run(page)
    assert codes == [0] * len(codes)
    assert last == 1
    (expected,) = re.findall(r"```text\n(.*)```", page, re.DOTALL)
    assert capsys.readouterr().err.endswith(expected)
    first, same, moved, pinned = (
        read_build(tmp_path / "build" / name).plan for name in ("digits", "same", "moved", "pinned")
    )
    assert same == first
    assert moved != first
    assert timing.cycles(moved) == timing.cycles(first)
    assert "depthwise" in [step.name for step in pinned.steps if step.unit is Unit.ARRAY]
    assert not (tmp_path / "build/overlap").exists()


def _run(page: str) -> list[int]:
    """Exit codes of the page's commands; its Python runs as well."""
    codes = []
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            exec(block, {})
            continue
        for line in block.splitlines():
            codes.append(main(shlex.split(line)[1:]))
    return codes


def test_pins_and_sizes_do_not_go_with_a_plan(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compile", str(root / "examples/digits/digits.onnx"), "--board", "ulx3s-85f"]
    words += ["-o", str(tmp_path / "build"), "--plan", "x.json", "--lanes", "4"]
    assert main(words) == 1
    expected = "weft compile: --plan and --lanes exclude each other: the plan says it all\n"
    assert capsys.readouterr().err.endswith(expected)


def test_a_plan_of_another_schema(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files from before there was a number count as the first."""
    words = ["compile", str(root / "examples/digits/digits.onnx"), "--board", "ulx3s-85f"]
    path = tmp_path / "old.json"
    for text, schema in (("{}", 1), ('{"schema": 3}', 3)):
        path.write_text(text)
        assert main([*words, "-o", str(tmp_path / "build"), "--plan", str(path)]) == 1
        expected = f"weft compile: {path}: schema is {schema}, not 2: another version of weft "
        assert capsys.readouterr().err.endswith(f"{expected}wrote it; compile the model again\n")
