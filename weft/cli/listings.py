"""What weft knows: its boards, and the operators that it imports."""

import argparse
import sys

from rich.table import Column, Table

from weft.cli.console import out, print_json

# As in ``weft.cli.main``, what takes seconds to import is imported where it is needed.


def boards(args: argparse.Namespace) -> int:
    """``weft boards``."""
    from weft.boards.board import list_boards, load_board
    from weft.boards.families.lookup import design_hz

    known = [load_board(name) for name in list_boards()]
    if args.json:
        print_json(
            {board.name: board.to_json() | {"design_hz": design_hz(board)} for board in known}
        )
        return 0
    table = Table("board", "device", "clock MHz", "oscillator MHz", "LUT", "DSP", "block RAM")
    for board in known:
        budget = board.budget
        clocks = (f"{hz / 1e6:g}" for hz in (design_hz(board), board.clock.hz))
        table.add_row(
            board.name, board.device.name, *clocks, *map(str, (budget.lut, budget.dsp, budget.bram))
        )
    out.print(table)
    return 0


def ops(args: argparse.Namespace) -> int:
    """``weft ops``."""
    from weft.cli.operators_page import operators_page
    from weft.nn.onnx.table import SUPPORTED

    if args.markdown:
        sys.stdout.write(operators_page())
        return 0
    if args.json:
        keys = ("form", "runs", "limits")
        print_json({row.name: {key: getattr(row, key) for key in keys} for row in SUPPORTED})
        return 0
    table = Table(Column("ONNX operator", no_wrap=True), "form", "runs on", "limits")
    for row in SUPPORTED:
        table.add_row(row.name, row.form, row.runs, row.limits)
    out.print(table)
    return 0
