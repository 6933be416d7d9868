"""Constants behind an activation: every code as ONNX Runtime has it, or counted in a note."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

CHAINS = ["add", "sub", "from", "mul", "div", "norm", "added", "scaled", "sub div", "mul add",
          "div sub", "from mul add", "norm mul", "added mul", "scaled add"]  # fmt: skip
HALVES = ["sub div", "mul sub", "div add", "from div"]


def applied(net: Net, x: str, kind: str, constants: list[np.ndarray], turned: bool) -> str:
    """One operator on ``x``; added, scaled: with a quantised constant."""
    a, b = constants
    match kind:
        case "norm":
            names = [net.constant(np.resize(p, 3), "float32") for p in (b, a, a / 2, b * b)]
            return net.node("BatchNormalization", x, *names, epsilon=1e-3)
        case "sub" | "from" | "div":
            pair = [x, net.constant(b if kind == "div" else a, "float32")]
            return net.node(
                "Div" if kind == "div" else "Sub", *pair[:: -1 if kind == "from" else 1]
            )
        case "added" | "scaled":
            scale = np.abs(a if kind == "added" else b).max() / 100
            codes = np.rint((a if kind == "added" else b) / scale)
            other = net.dq(net.constant(codes, "int8"), scale, 0)
        case _:
            other = net.constant(a if kind == "add" else b, "float32")
    pair = [other, x] if turned else [x, other]
    return net.node("Add" if kind in ("add", "added") else "Mul", *pair)


def network(
    folder: Path, chain: str, scale: float, constants: list[np.ndarray], turned: bool, step: float
) -> Path:
    """Three channels in which all 256 codes stand, behind the chain quantised with ``step``."""
    net = Net()
    x = net.dq(net.q(net.input("x", [1, 3, 16, 16], "float32"), scale, 3), scale, 3)
    for kind in chain.split():
        x = applied(net, x, kind, constants, turned)
    y = net.dq(net.q(x, step, 5), step, 5)
    net.output(y, 4, "float32")
    return net.save(folder)


def differing(path: Path, scale: float) -> tuple[int, Graph]:
    """How many of the 768 codes differ from ONNX Runtime's, which are held as real numbers."""
    codes = np.tile(np.arange(-128, 128).reshape(1, 1, 16, 16), (1, 3, 1, 1))
    x = (codes - 3).astype(np.float32) * np.float32(scale)
    graph = import_model(path)
    (got,) = reference_model(graph, {"x": x}).values()
    (wanted,) = run_onnx(path, {"x": x})
    return int(np.count_nonzero(got != wanted)), graph


def noted(graph: Graph) -> int:
    text = r"(\d+) of \d+ codes, counted over all channels, become another one than with ONNX"
    return sum(int(found[1]) for note in graph.notes if (found := re.search(text, str(note))))


@pytest.mark.parametrize("turned", [False, True], ids=["behind", "in front"])
@pytest.mark.parametrize("per_channel", [False, True], ids=["one", "each"])
@pytest.mark.parametrize("chain", CHAINS)
def test_every_code(tmp_path: Path, chain: str, per_channel: bool, turned: bool) -> None:
    rng = np.random.default_rng(CHAINS.index(chain))
    shape = (1, 3, 1, 1) if per_channel else ()
    offset, gain = rng.uniform(-3, 3, shape), rng.uniform(0.5, 1.6, shape) * rng.choice([-1, 1])
    constants = [np.asarray(offset), np.asarray(gain)]
    path = network(tmp_path, chain, 0.05, constants, turned, 0.061)
    wrong, graph = differing(path, 0.05)
    assert wrong == noted(graph) <= 2
    assert len(graph.operators) == 1  # no network gets slower by it


@pytest.mark.parametrize("step", [2 / 255, 1 / 127, 1 / 64], ids=str)
@pytest.mark.parametrize("chain", HALVES)
def test_every_half(tmp_path: Path, chain: str, step: float) -> None:
    """Pixels made to -1..1: every code is a tie, and float32's noise decides each."""
    constants = [np.array(127.5), np.array(127.5 if "div" in chain else 1 / 127.5)]
    wrong, graph = differing(network(tmp_path, chain, 1.0, constants, False, step), 1.0)
    assert wrong == noted(graph) <= 0.01 * 768


def test_a_table_that_costs_too_much_is_a_note(tmp_path: Path) -> None:
    """A large image stays one operator; how many codes differ is counted exactly."""
    net = Net()
    x = net.dq(net.input("x", [1, 1, 32, 32], "uint8"), 1, 0, "uint8")
    x = net.node("Div", net.node("Sub", x, net.constant(127.5, "float32")),
                 net.constant(127.5, "float32"))  # fmt: skip
    net.output(net.q(x, 2 / 255, 0), 4)
    path = net.save(tmp_path)
    codes = np.arange(1024).astype(np.uint8).reshape(1, 1, 32, 32)  # each code four times
    graph = import_model(path)
    (got,) = reference_model(graph, {"x": codes}).values()
    (wanted,) = run_onnx(path, {"x": codes})
    assert len(graph.operators) == 1
    assert np.count_nonzero(got != wanted) == 4 * noted(graph) > 0
    assert np.abs(got.astype(int) - wanted).max() == 1


def test_numbers_beyond_float32(tmp_path: Path) -> None:
    """What float32 makes infinite and then no number at all is taken as real arithmetic has it."""
    net = Net()
    x = net.dq(net.input("x", [1, 1, 16, 16]), 1.0, 0)
    for op, value in (("Mul", 1e38), ("Mul", 1e38), ("Mul", 1e-38), ("Mul", 1e-38)):
        x = net.node(op, x, net.constant(value, "float32"))
    y = net.node("Sub", x, net.constant(0.25, "float32"))
    net.output(net.q(y, 1.0, 0), 4)
    norm = Net()
    x = norm.dq(norm.input("x", [1, 1, 16, 16]), 1.0, 0)
    parts = [norm.constant([value], "float32") for value in (1e30, 0, 0, 1e-20)]
    norm.output(norm.q(norm.node("BatchNormalization", x, *parts, epsilon=0.0), 1.0, 0), 4)
    codes = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 16, 16)
    for made in (net, norm):
        (got,) = reference_model(import_model(made.save(tmp_path)), {"x": codes}).values()
        assert np.all(np.diff(got.reshape(-1).astype(int)) >= 0)
