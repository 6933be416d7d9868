"""A board as the mapper sees it."""

from weft.boards.board import Board
from weft.boards.families.lookup import design_hz
from weft.machine.target import Target


def target_of(board: Board) -> Target:
    """The board's budget and the design's clock."""
    return Target(
        name=board.name,
        family=board.device.family,
        lut=board.budget.lut,
        ff=board.budget.ff,
        dsp=board.budget.dsp,
        bram=board.budget.bram,
        spram=board.budget.spram,
        clock_hz=design_hz(board),
    )
