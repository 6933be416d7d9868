"""The files for systems on chip: Verilog, weft.core, and docs/integration.md in step with them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from amaranth.lib.wiring import In

from tests.mapper.support import ENDLESS, conv_graph
from weft.gen.build_dir import Build, read_build, write_build
from weft.gen.fusesoc import core_file, core_name
from weft.gen.soc import SocTop, bus_params, soc_verilog
from weft.hw.bus.registers import table
from weft.machine import timing
from weft.machine.encode import image_writes
from weft.machine.memory_map import memory_map
from weft.mapper.search import plan
from weft.nn.ir.window import Window

LANES = 3


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    graph = conv_graph((2, 4, 4), 2, Window(kernel=(2, 2)))
    made = plan(graph, ENDLESS, lanes=LANES, columns=2, requant_lanes=1)
    folder = tmp_path_factory.mktemp("soc") / "build"
    write_build(folder, graph, made, {"name": "any"})
    return read_build(folder)


@pytest.fixture(scope="module")
def top(build: Build) -> SocTop:
    return SocTop(bus_params(build.plan, build.manifest))


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs/integration.md").read_text("utf-8")


def ports(top: SocTop) -> list[tuple[str, str, int]]:
    clock = [("clk", "in", 1), ("rst", "in", 1)]
    return clock + [
        (name, "in" if member.flow is In else "out", len(getattr(top, name)))
        for name, member in top.signature.members.items()
    ]


def test_params(build: Build) -> None:
    params = bus_params(build.plan, build.manifest)
    assert (params.lanes, params.n_in) == (LANES, build.plan.inputs.words)
    assert params.plan_hash.hex() == build.manifest["plan_hash"][:32]
    assert params.predicted_cycles == timing.cycles(build.plan)
    assert list(params.image_limits) == build.manifest["image_limits"]


def test_verilog(build: Build, top: SocTop) -> None:
    """Plain-bit ports, no cell left unconnected, and the same text every time."""
    text = (build.folder / "rtl/weft_soc.v").read_text()
    assert text == soc_verilog(top.params)
    last = text[text.index("module weft_soc(") :]
    names = re.findall(r"\w+", last[last.index("(") : last.index(");")])
    assert sorted(names) == sorted(name for name, _, _ in ports(top))
    core = (build.folder / "rtl/weft_top.v").read_text()
    header = core[core.index("module weft_top(") :].partition(");")[0].partition("(")[2]
    instance = last[last.index("weft_top core (") :].partition(");\n")[0]
    assert set(re.findall(r"\.(\w+)\(", instance)) == set(header.split(", "))


def test_core_file(build: Build) -> None:
    text = (build.folder / "weft.core").read_text()
    first, _, rest = text.partition("\n")
    core: dict[str, Any] = yaml.safe_load(rest)
    assert first == "CAPI=2:"
    assert re.fullmatch(r"weft:networks:[\w-]+:\d+\.\d+\.\d+", core["name"])
    files = {}
    for name, group in core["filesets"].items():
        paths = [file if isinstance(file, str) else next(iter(file)) for file in group["files"]]
        assert all((build.folder / path).is_file() for path in paths)
        files[name] = set(paths)
    assert files["rtl"] == set(build.manifest["sources"])
    assert files["bus"] == set(build.manifest["soc"]["sources"])
    hexes = {path.name for path in (build.folder / "images").glob("*.hex")}
    assert files["images"] == {f"images/{name}" for name in hexes}
    for file in core["filesets"]["images"]["files"]:
        ((name, attributes),) = file.items()
        assert attributes == {"file_type": "user", "copyto": name}  # where $readmemh looks
    for target in core["targets"].values():
        assert set(target["filesets"]) <= set(files)
    assert core["targets"]["default"]["toplevel"] == "weft_soc"
    assert core["targets"]["lint"]["flow_options"]["tool"] == "verilator"


@pytest.mark.parametrize(
    ("network", "name"),
    [("digits", "digits"), ("a b:c/é", "a_b_c"), ("", "network"), ("*", "network")],
)
def test_core_name(network: str, name: str) -> None:
    assert core_name(network) == name
    assert f"weft:networks:{name}:" in core_file(network, [], [])


def test_upload_file(build: Build) -> None:
    """Records hold every image write but the registers', which belong to the design."""
    data = (build.folder / "images/upload.bin").read_bytes()
    records = [data[i : i + 9] for i in range(0, len(data), 9)]
    writes = image_writes(build.plan)
    kept = writes[writes[:, 0] >> 24 != 0]
    parts = [[int.from_bytes(part, "little") for part in (r[5:], r[:5])] for r in records]
    assert parts == kept.tolist()
    limits = build.manifest["image_limits"]
    assert all((address & (1 << 24) - 1) < limits[address >> 24] for address in kept[:, 0])


def test_the_manifest_names_the_memories(build: Build) -> None:
    names, limits = build.manifest["image_memories"], build.manifest["image_limits"]
    assert names == list(memory_map(build.plan.engine).names)
    assert len(limits) == len(names)
    assert (names[0], limits[0]) == ("registers", 0)
    assert limits[names.index("weights")] > 0


def test_the_page_has_the_register_map(page: str) -> None:
    """If not: python -c "from weft.hw.bus.registers import table; print(table())"."""
    assert table() in page


def test_the_page_has_every_port(page: str, top: SocTop) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (in|out) \| (8 K|\d+) \|", page, re.M)
    named = [(name, way, 8 * LANES if bits == "8 K" else int(bits)) for name, way, bits in rows]
    assert sorted(named) == sorted(ports(top))


def test_the_page_has_every_file(page: str, build: Build) -> None:
    rows = re.findall(r"^\| `([\w./*]+)` \| ", page[: page.index("## Ports")], re.M)
    for row in rows:
        assert list(build.folder.glob(row)), row
    assert {"weft.h", "weft.core", "rtl/weft_soc.v", "images/upload.bin"} <= set(rows)


def documented(page: str, begin: str) -> str:
    """The page's command that begins with these words."""
    (line,) = re.findall(rf"^    ({re.escape(begin)}.*)$", page, re.M)
    return line


def shell(command: str, folder: Path) -> None:
    """Run it as in a terminal where ``. .venv/bin/activate`` was typed, and nothing is installed
    besides."""
    fusesoc = shutil.which("fusesoc") or ""
    folders = [str(Path(sys.executable).parent), "/usr/bin", "/bin", str(Path(fusesoc).parent)]
    path = os.pathsep.join(folders)
    done = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_lint(page: str, build: Build) -> None:
    shell(documented(page, "verilator-cli "), build.folder)


def test_the_pages_fusesoc(page: str, build: Build, tmp_path: Path) -> None:
    """``weft.core``'s lint target; where FuseSoC is missing, only that it would find Verilator."""
    command = documented(page, "export PATH=") + "\nverilator --version\n"
    if shutil.which("fusesoc") is not None:
        name = core_name(build.plan.network)
        command += documented(page, "fusesoc ").replace("build/digits", str(build.folder))
        command = command.replace("networks:digits", f"networks:{name}")
    shell(command, tmp_path)


def test_the_page_names_what_the_header_has(page: str, build: Build) -> None:
    header = (build.folder / "weft.h").read_text()
    for name in set(
        re.findall(r"`(weft_(?!top|soc|mul|ram|pair|dual|spram)\w+)`|`(WEFT_\w+)", page)
    ):
        assert re.search(rf"\b{''.join(name)}\b", header), name
