"""`weft flash`: the command of the board file, and what is in its way."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.boards.flash import flash
from weft.cli.main import main
from weft.errors import ConfigError, ToolError

FakeBuild = Callable[[str], Path]


def with_bitstream(build: Path, suffix: str) -> Path:
    (build / f"bitstream.{suffix}").write_bytes(b"bits")
    return build


@pytest.mark.parametrize(
    ("name", "suffix", "command"),
    [
        ("ulx3s-85f", "bit", "openFPGALoader -b ulx3s -m {}"),
        ("orangecrab-25f", "bit", "dfu-util -d 1209:5af0 -a 0 -D {}"),
        ("colorlight-i5", "bit", "openFPGALoader -b colorlight-i5 -m {}"),
        ("ecp5-evn", "bit", "openFPGALoader -b ecp5_evn -m {}"),
        ("icebreaker", "bin", "iceprog {}"),
        ("icesugar", "bin", "icesprog {}"),
        ("upduino-3", "bin", "iceprog -d i:0x0403:0x6014 {}"),
        ("ice40-hx8k-evn", "bin", "iceprog {}"),
        ("tang-nano-9k", "fs", "openFPGALoader -b tangnano9k {}"),
        ("tang-nano-20k", "fs", "openFPGALoader -b tangnano20k {}"),
    ],
)
def test_dry_run_prints_the_command(
    fake_build: FakeBuild,
    capsys: pytest.CaptureFixture[str],
    name: str,
    suffix: str,
    command: str,
) -> None:
    build = with_bitstream(fake_build(name), suffix)
    assert main(["flash", str(build), "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert shown.out == command.format(build / f"bitstream.{suffix}") + "\n"
    notes = json.loads((build / "manifest.json").read_text())["board_file"]["notes"]
    assert shown.err == "".join(f"note: {note}\n" for note in notes)


def test_json(fake_build: FakeBuild, capsys: pytest.CaptureFixture[str]) -> None:
    build = with_bitstream(fake_build("icebreaker"), "bin")
    assert main(["flash", str(build), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "board": "icebreaker",
        "command": f"iceprog {build / 'bitstream.bin'}",
        "into": "flash",
        "notes": [],
    }


def test_no_bitstream(fake_build: FakeBuild) -> None:
    build = fake_build("icebreaker")
    with pytest.raises(ConfigError) as raised:
        flash(build, dry_run=True)
    assert str(raised.value) == f"{build} has no bitstream; make it with `weft synth {build}`"


@pytest.mark.parametrize(
    ("tool", "how"),
    [
        ("iceprog", "Debian package fpga-icestorm"),
        ("mytool", "it is flash.command of the board file that names it"),
    ],
)
def test_missing_tool(
    fake_build: FakeBuild,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tool: str,
    how: str,
) -> None:
    build = with_tool(fake_build, tool)
    monkeypatch.setenv("PATH", str(build))
    assert main(["flash", str(build)]) == 3
    expected = f"weft flash: {tool} not found: it is not on the PATH ({how})\n"
    assert capsys.readouterr().err == expected


def with_tool(fake_build: FakeBuild, tool: str) -> Path:
    """A build for a board that is flashed by ``tool -x FILE``."""
    build = with_bitstream(fake_build("icebreaker"), "bin")
    path = build / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["board_file"]["flash"]["command"] = [tool, "-x", "{bitstream}"]
    path.write_text(json.dumps(manifest))
    return build


def install(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "mytool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


def test_the_tool_gets_the_bitstream(
    fake_build: FakeBuild, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build = with_tool(fake_build, "mytool")
    install(tmp_path, f'echo "$1" $(cat "$2") > {tmp_path}/out', monkeypatch)
    said: list[str] = []
    made = flash(build, progress=said.append)
    assert made.command == f"mytool -x {build / 'bitstream.bin'}"
    assert said == [made.command]
    assert (tmp_path / "out").read_text() == "-x bits\n"


def test_a_tool_that_fails(
    fake_build: FakeBuild, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build = with_tool(fake_build, "mytool")
    install(tmp_path, "exit 4", monkeypatch)
    with pytest.raises(ToolError) as raised:
        flash(build)
    command = shlex.join(["mytool", "-x", str(build / "bitstream.bin")])
    assert str(raised.value) == f"mytool failed with exit code 4\n  command: {command}"
