"""A board without a board: the design that would go on it, Verilated, behind a pseudo-terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from weft.boards.build_dir import Build
from weft.boards.top import TOP, BoardTop
from weft.gen.output import write_file
from weft.gen.verilog import verilog_of
from weft.hw.link.link import TIMEOUT_BITS
from weft.hw.uart import MIN_DIVISOR
from weft.sim_tb.uart_board import UartBoard

FOLDER = "sim"
SOURCE = "board_top.v"


@contextmanager
def simulated_board(build: Build, *, timeout_bits: int = TIMEOUT_BITS) -> Iterator[str]:
    """The serial port of a simulated board, for as long as the context lasts.

    It has the UART, the link and the memory images of the bitstream. Only the bits on its line are
    as short as they can be: the core hardly notices, and a simulation is mostly transfers. Raises
    ToolError.
    """
    top = BoardTop(build.link, divisor=MIN_DIVISOR, timeout_bits=timeout_bits)
    folder = build.folder / FOLDER
    folder.mkdir(exist_ok=True)
    write_file(folder / SOURCE, verilog_of(top, TOP))
    sources = (folder / SOURCE, *(build.folder / source for source in build.sources))
    board = UartBoard(sources=sources, workdir=folder, run_dir=build.folder)
    with board.running(divisor=MIN_DIVISOR, linger=2 << timeout_bits) as port:
        yield port
