"""``weft.h``: the register map, a build's figures, and functions that drive the core, in C99."""

from pathlib import Path

import numpy as np

import weft
from weft.hw.bus.params import BusParams
from weft.hw.bus.registers import REGISTERS
from weft.hw.progress import State
from weft.machine.plan import Fold, Plan, Region
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host_steps import HostStep

HELPERS = Path(__file__).parent / "weft_helpers.h"
NO_FOLD = Fold(rows=1, cols=1, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), zero_point=0)

TENSOR = """\
/* A network's input or output, [channels][height][width], and how it is stored in words. */
typedef struct {
    uint32_t channels, height, width;
    uint32_t stored_channels, stored_height, stored_width;
    uint32_t fold_cols, stride_y, stride_x, dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    float scale; /* real value = (code - zero_point) * scale */
    int32_t zero_point;
} weft_tensor;
"""


def header(graph: Graph, plan: Plan, params: BusParams) -> str:
    """The text of ``weft.h`` for one build."""
    parts = [
        f"/* Written by weft {weft.__version__}. weft's docs/integration.md describes it. */",
        "#ifndef WEFT_H",
        "#define WEFT_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        *_registers(),
        "",
        *_figures(plan, params),
        "",
        TENSOR,
        *_tensors("input", graph, graph.inputs, plan.inputs),
        *_tensors("output", graph, graph.outputs, plan.outputs),
        HELPERS.read_text("utf-8"),
        "#endif",
    ]
    return "\n".join(parts) + "\n"


def c_string(text: str) -> str:
    """A string literal of the text's UTF-8 bytes."""
    plain = [
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    ]
    return f'"{"".join(plain)}"'


def c_float(value: float) -> str:
    """A float literal of exactly this float32."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if set(text) & set(".e") else ".0f")


def _define(name: str, value: object) -> str:
    return f"#define WEFT_{name} {value}"


def _registers() -> list[str]:
    lines = ["/* Registers: byte offsets, and the masks of their fields. */"]
    for register in REGISTERS:
        lines.append(_define(f"REG_{register.name}", f"{register.offset:#04x}u"))
        for field in register.fields:
            lines.append(_define(f"{register.name}_{field.name}", f"{field.mask:#x}u"))
    for register in REGISTERS[:2]:
        lines.append(_define(f"{register.name}_VALUE", f"{register.reset:#x}u"))
    return lines + [_define(f"STATE_{state.name}", f"{state.value}u") for state in State]


def _figures(plan: Plan, params: BusParams) -> list[str]:
    hash_words = ", ".join(f"{word:#010x}u" for word in params.hash_words)
    return [
        "/* This build. */",
        _define("NETWORK", c_string(plan.network)),
        _define("LANES", f"{params.lanes}u"),
        _define("PIECES", f"{params.pieces}u /* accesses of INPUT_DATA or OUTPUT_DATA per word */"),
        _define("INPUT_WORDS", f"{params.n_in}u"),
        _define("OUTPUT_WORDS", f"{params.n_out}u"),
        _define("PREDICTED_CYCLES", f"{params.predicted_cycles}u"),
        _define("UPLOAD", f"{int(plan.engine.has_store)} /* images must be written once */"),
        _define("PLAN_HASH", f"{{{hash_words}}}"),
    ]


def _tensors(kind: str, graph: Graph, edges: tuple[HostEdge, ...], region: Region) -> list[str]:
    """Constants of all inputs, or of all outputs, and the function that returns them."""
    lines, rows = [_define(f"N_{kind.upper()}S", f"{len(edges)}u")], []
    for i, (port, edge) in enumerate(zip(region.ports, edges, strict=True)):
        tensor = graph.tensor(edge.tensor)  # the plan may have a name of its own for a copy
        name, fold = f"{kind.upper()}_{i}", port.fold or NO_FOLD
        shape = tensor.shape if port.fold else port.shape
        lines += [
            _define(f"{name}_NAME", c_string(edge.name)),
            _define(f"{name}_CHANNELS", f"{shape[0]}u"),
            _define(f"{name}_HEIGHT", f"{shape[1]}u"),
            _define(f"{name}_WIDTH", f"{shape[2]}u"),
            _define(f"{name}_BYTES", f"{shape[0] * shape[1] * shape[2]}u"),
            _define(f"{name}_SCALE", c_float(tensor.scale)),
            _define(f"{name}_ZERO_POINT", f"({tensor.zero_point})"),
            f"/* between the model's array and the codes: {_steps(edge.steps)} */",
        ]
        numbers = (*shape, *port.shape, fold.cols, *fold.stride, *fold.dilation)
        values = [*(f"{number}u" for number in numbers), *map(str, fold.pads[:2])]
        values += [c_float(tensor.scale), str(tensor.zero_point)]
        rows.append(f"        {{{', '.join(values)}}},")
    return [
        *lines,
        "",
        f"static inline const weft_tensor *weft_{kind}(unsigned index)",
        "{",
        "    static const weft_tensor tensors[] = {",
        *rows,
        "    };",
        "    return &tensors[index];",
        "}",
        "",
    ]


def _steps(steps: tuple[HostStep, ...]) -> str:
    return ", ".join(map(str, steps)) or "nothing"
