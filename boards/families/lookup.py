"""The families that there are."""

from weft.boards.board import Board
from weft.boards.families.ecp5 import Ecp5
from weft.boards.families.family import Family
from weft.boards.families.gowin import Gowin
from weft.boards.families.ice40 import Ice40
from weft.boards.families.pll import Pll

FAMILIES: dict[str, Family] = {family.name: family for family in (Ecp5(), Ice40(), Gowin())}


def family_of(board: Board) -> Family:
    """The board's family, after checking the board against it. Raises ConfigError."""
    family = FAMILIES[board.device.family]
    family.check(board)
    return family


def design_hz(board: Board) -> int:
    """The clock that designs for the board get unless the user chooses another one."""
    family = FAMILIES[board.device.family]
    return board.clock.design_hz or family.default_hz or board.clock.hz


def pll_for(board: Board, hz: float) -> Pll | None:
    """The PLL that makes ``hz``; None if that is the oscillator's own clock. Raises ConfigError."""
    if round(hz) == board.clock.hz:
        return None
    return family_of(board).pll(board.device, board.clock, hz)
