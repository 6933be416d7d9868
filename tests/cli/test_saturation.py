"""``weft check`` on a CPU where ONNX Runtime saturates: it says so where it can matter."""

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from tests.nn.qdq_builder import Net
from weft.cli import saturation
from weft.cli.check import check

BEGIN = (
    "this CPU has no VNNI: ONNX Runtime's sums of uint8 x int8 products may saturate on it, "
    "weft's are exact; codes may differ from node "
)
UINT8 = "compare on a CPU with VNNI, or quantise activations to int8"
INT8 = "its option session.qdqisint8allowed = 1 prevents that"


@pytest.fixture
def without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "cpu_flags", lambda: {"sse2", "avx2", "avx512f"})


def network(
    weight: object, dtype: str = "uint8", weight_dtype: str = "int8", groups: int = 1
) -> Net:
    """Convolutions with these weights [C_out, C_in / groups, 1, 1], and one with small ones."""
    net, codes = Net(), np.asarray(weight)
    channels = codes.shape[1] * groups
    x = net.dq(net.input("x", ("n", channels, 3, 3), dtype), 0.1, 3, dtype)
    zero = 0 if weight_dtype == "int8" else 128
    w = net.dq(net.constant(codes + zero, weight_dtype), 0.1, zero, weight_dtype)
    y = net.dq(net.q(net.node("Conv", x, w, group=groups), 0.2, 5, dtype), 0.2, 5, dtype)
    small = np.full((2, codes.shape[0], 1, 1), 64) + zero
    w = net.dq(net.constant(small, weight_dtype), 0.1, zero, weight_dtype)
    net.output(net.q(net.node("Conv", y, w), 0.3, 4, dtype), 4, dtype)
    return net


def notes(net: Net, folder: Path) -> list[str]:
    return check(net.save(folder), None).figures["notes"]


def column(*weights: int) -> np.ndarray:
    return np.array(weights).reshape(1, -1, 1, 1)


@pytest.mark.parametrize(("dtype", "advice"), [("uint8", UINT8), ("int8", INT8)])
def test_the_note(dtype: str, advice: str, without_vnni: None, tmp_path: Path) -> None:
    net = network(column(127, 1, 2), dtype)
    assert notes(net, tmp_path) == [f"{BEGIN}'conv2' on; {advice}"]


def test_several_nodes(without_vnni: None, tmp_path: Path) -> None:
    net = network(np.full((3, 4, 1, 1), -100))
    y = net.dq(net.nodes[-1].output[0], 0.3, 4, "uint8")
    weight = net.dq(net.constant(np.full((5, 2, 1, 1), 90), "int8"), 0.1, 0)
    net.output(net.q(net.node("Conv", y, weight), 9.0, 4, "uint8"), 4, "uint8")
    (note,) = notes(net, tmp_path)
    assert note == f"{BEGIN}'conv2' and 1 more on; {UINT8}"


@pytest.mark.parametrize(
    ("weights", "said"),
    [((64, 64, -64, -64), 0), ((65, 64, 0), 1), ((-65, -64, 0), 1), ((127, -128, 1), 0)],
)
def test_only_where_two_products_leave_16_bits(
    weights: tuple[int, ...], said: int, without_vnni: None, tmp_path: Path
) -> None:
    """255 * 128 = 32,640 is within, 255 * 129 = 32,895 beyond; so are -32,640 and -32,895."""
    assert len(notes(network(column(*weights)), tmp_path)) == said


def test_exact_kernels(without_vnni: None, tmp_path: Path) -> None:
    """Weights of uint8, and depthwise convolutions."""
    assert notes(network(column(127, 127), weight_dtype="uint8"), tmp_path) == []
    assert notes(network(np.full((3, 1, 1, 1), 127), groups=3), tmp_path) == []


def test_weights_in_a_constant_node(without_vnni: None, tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4), "uint8"), 0.1, 3, "uint8")
    codes = net.node("Constant", value=numpy_helper.from_array(np.full((4, 2), 99, np.int8)))
    y = net.node("MatMul", x, net.node("DequantizeLinear", codes, net.constant(0.1, "float32")))
    net.output(net.q(y, 0.1, 3, "uint8"), 2, "uint8")
    assert notes(net, tmp_path) == [f"{BEGIN}'{y}' on; {UINT8}"]


def test_operators_of_codes(without_vnni: None, tmp_path: Path) -> None:
    net = Net()
    a = (net.input("x", ("n", 4), "uint8"), net.constant(0.1, "float32"), net.constant(3, "uint8"))
    weight = net.constant(np.full((4, 2), 99), "int8")
    b = (weight, net.constant(0.1, "float32"), net.constant(0, "int8"))
    y = net.node("QGemm", *a, *b, "", a[1], a[2], domain="com.microsoft")
    net.output(y, 2, "uint8")
    assert notes(net, tmp_path) == [f"{BEGIN}'{y}' on; {UINT8}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu sse2 avx2 fma\n", True),
        ("flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni\n", False),
        ("flags\t\t: fpu sse2 avx2 avx_vnni\nflags\t\t: fpu sse2 avx2\n", False),
        ("flags\t\t: fpu sse2 avx\n", False),  # its kernels add in 32 bits
        ("Features\t: fp asimd asimddp\n", False),
        ("", False),
    ],
)
def test_flags_of_the_cpu(
    text: str, expected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(saturation, "CPUINFO", tmp_path / "cpuinfo")
    assert saturation.cpu_saturates() == expected


def test_other_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(saturation, "CPUINFO", tmp_path / "nowhere")
    assert not saturation.cpu_saturates()


def test_nothing_where_the_cpu_is_exact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(saturation, "cpu_flags", lambda: {"avx2", "avx_vnni"})
    assert notes(network(column(127, 127)), tmp_path) == []
