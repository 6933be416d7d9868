"""The weights of each layer: how many, how wide they have to be, how many are zero."""

from typing import Any

import numpy as np

from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv


def weight_rows(graph: Graph) -> list[dict[str, Any]]:
    """One row for each convolution and fully connected layer, in running order.

    bits: of the narrowest two's complement number that holds all its weights.
    """
    rows = []
    for operator in graph.operators:
        if not isinstance(operator, Conv):
            continue
        weight = operator.weight
        low, high = int(weight.min()), int(weight.max())
        rows.append(
            {
                "layer": operator.name,
                "shape": list(weight.shape),
                "weights": int(weight.size),
                "bits": max(1 + max(high, 0).bit_length(), 1 + max(-low - 1, 0).bit_length()),
                "min": low,
                "max": high,
                "values": len(np.unique(weight)),
                "zeros": int(weight.size - np.count_nonzero(weight)),
            }
        )
    return rows
