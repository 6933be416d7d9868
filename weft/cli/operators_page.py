"""docs/operators.md, from the table that the importer dispatches through."""

from weft.nn.onnx.table import SUPPORTED

TOP = """# Operators that can be imported

Made by `weft ops --markdown > docs/operators.md` from `nn/onnx/table.py`; a test keeps it in step.
`weft check MODEL` says which node of a model runs where, and what of it is not supported. What the
operators compute is in [ops.md](ops.md), what the forms are in [forms.md](forms.md).

Runs on: the matrix *array*, the *vector* unit, the *host* before or after the accelerator, or
nothing is left of it (*none*: folded into its neighbours). A depthwise Conv runs on the vector
unit.

| operator | form | runs on | limits |
|---|---|---|---|
"""


def operators_page() -> str:
    """The page, as Markdown."""
    rows = (f"| {row.name} | {row.form} | {row.runs} | {row.limits} |\n" for row in SUPPORTED)
    return TOP + "".join(rows)
