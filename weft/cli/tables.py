"""The answer of ``weft check`` for people."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

MIN_SHARE = 0.03  # of all cycles, from which on a node is shown


def tables(figures: dict[str, Any]) -> Iterator[Table]:
    """The nodes, what holds for the network as a whole, and the board."""
    yield _nodes(figures)
    network = _plain(figures["model"])
    network.add_row("supported", "yes" if figures["supported"] else "no")
    for problem in figures["problems"]:
        network.add_row("problem", problem)
    if "macs" in figures:
        network.add_row("MACs", f"{figures['macs']:,}")
        network.add_row("accumulators", _accumulators(figures["accumulators"]))
    for loss in figures.get("outputs", ()):
        network.add_row(f"output {loss['name']!r}", _loss(loss))
    for note in figures["notes"]:
        network.add_row("note", note)
    yield network
    if "board" in figures:
        yield _board(figures["board"])


def _plain(title: str) -> Table:
    return Table(title=title, show_header=False, title_justify="left")


def _nodes(figures: dict[str, Any]) -> Table:
    table = Table("node", "operator", "runs on", "remark")
    for row in figures["operators"]:
        table.add_row(row["node"], row["operator"], row["runs"], row["remark"])
    return table


def _accumulators(found: dict[str, Any]) -> str:
    exact = "exact in float32, too" if found["exact"] else "beyond float32's 24 bits: see the notes"
    return f"at most {found['bits']} bits (node {found['node']!r}), {exact}"


def _share(row: dict[str, Any], total: int) -> str:
    """What one node costs of the whole."""
    where = f" (node {row['node']!r})" if row["node"] else ""
    return f"{row['cycles']:,} of {total:,} cycles{where}"


def _loss(loss: dict[str, Any]) -> str:
    steps = "" if loss["steps"] is None else f", {loss['steps']} steps of 8 bits"
    ratio = "" if loss["snr_db"] is None else f"{loss['snr_db']} dB below it, "
    return f"error of quantisation {ratio}at most {loss['largest']}{steps}"


def _board(board: dict[str, Any]) -> Table:
    table = _plain(board["name"])
    if not board["fits"]:
        table.add_row("fits", "no")
        table.add_row("short", board["short"])
        return table
    outside = board.get("external_memory")
    table.add_row("fits", "yes" if outside is None else "yes, with memory outside the chip")
    table.add_row("array", f"{board['lanes']} lanes x {board['columns']} columns")
    table.add_row("cycles", f"{board['cycles']:,}")
    for row in board["nodes"]:
        if row["cycles"] >= MIN_SHARE * board["cycles"]:
            table.add_row(f"  {row['operator']}", _share(row, board["cycles"]))
    table.add_row("microseconds", f"{board['microseconds']:,}")
    for name, share in board["resources"].items():
        if share["needed"] or share["available"]:
            table.add_row(name, f"{share['needed']:,} of {share['available']:,}")
    if outside is not None:
        table.add_row("memory outside", f"{outside['bytes']:,} bytes")
        table.add_row("bytes per inference", f"{outside['bytes_per_inference']:,} at least")
        table.add_row("megabytes per second", f"{outside['megabytes_per_second']:,} at least")
    return table
