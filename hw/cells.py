"""The leaf cells that generated Verilog refers to: memories and multipliers in ``hw/cells``."""


class CellLibrary:
    """Elaboration platform under which leaf components become instances of ``weft_*`` cells.

    Without it (``platform is None``: simulation in Python) they elaborate to Amaranth's own
    primitives of the same behaviour. ``tests/hw/test_cells.py`` holds both to one another.
    """
