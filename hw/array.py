"""The semi-systolic array: K x N multipliers, a new weight tile every cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.own import own
from weft.hw.ram import Ram
from weft.hw.rows.styles import RowProducts
from weft.machine.engine import Engine, Unit
from weft.machine.images import weight_word
from weft.machine.timing import unit_latency

LOAD_ROWS = 4
"""Rows whose weight banks share registers for writes."""


class SystolicArray(wiring.Component):
    """Output-stationary sums of N columns over the taps of a tile.

    Row k works k cycles after row 0, so that partial sums flow down a column one register per row.
    ``sums`` holds a tile's N results in the cycle ``unit_latency`` after its last tap was issued.

    Parameters: ``products``, the hardware of ``params.rows``.

    Members
    -------
    lanes: K int8 activations of a tap, ``ROW_LATENCY`` cycles after its issue. address: of its
    weight tile, ``weight_issue`` cycles after its issue. first: marks a tile's first tap, at its
    issue. load_*: writes chunks of one row's weight bank, ``1 + row // LOAD_ROWS`` cycles later.
    """

    def __init__(self, params: Engine, products: RowProducts, image_dir: str = ""):
        self.params, self.products, self.image_dir = params, products, image_dir
        p, weight = params, weight_word(params)
        super().__init__(
            {
                "lanes": In(data.ArrayLayout(signed(8), p.lanes)),
                "address": In(p.weight_address_bits),
                "first": In(1),
                "sums": Out(data.ArrayLayout(signed(p.accumulator_bits), p.columns)),
                "load_en": In(weight.chunks),
                "load_row": In(range(max(2, p.lanes))),
                "load_address": In(p.weight_address_bits),
                "load_data": In(weight.width),
            }
        )

    lanes: data.View
    address: Signal
    first: Signal
    sums: data.View
    load_en: Signal
    load_row: Signal
    load_address: Signal
    load_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        partial: list[Signal] = []
        address = self.address
        soon = load = Cat(self.load_en, self.load_row, self.load_address, self.load_data)
        for k in range(p.lanes):
            if k % LOAD_ROWS == 0:  # across the chip in several cycles
                soon, load = load, delay(m, load, 1, f"load_{k}")
            weights = self._bank(m, k, address, soon, load)
            act = self.lanes[k]
            for stage in range(k):
                delayed = Signal(signed(8), name=f"act_{k}_{stage}")
                m.d.sync += delayed.eq(act)
                act = delayed
            products = self.products(m, p, f"mul_{k}", act, weights)
            partial = [
                self._add(m, k, n, product, partial[n] if partial else None)
                for n, product in enumerate(products)
            ]
            next_address = Signal.like(self.address, name=f"address_{k + 1}")
            m.d.sync += next_address.eq(address)
            address = next_address

        first = delay(m, self.first, unit_latency(p, Unit.ARRAY) - 2, "first")
        for n in range(p.columns):
            begins = own(m, first, f"first_{n}")
            m.d.sync += self.sums[n].eq(partial[n] + Mux(begins, 0, self.sums[n]))
        return m

    def _bank(self, m: Module, k: int, address: Signal, soon: Value, load: Value) -> data.View:
        """A row's weights. load: what is written now, soon: in the next cycle."""
        p, weight = self.params, weight_word(self.params)
        ram = Ram(
            width=weight.width,
            depth=p.memories.weight,
            grain=weight.chunk_bits,
            init_file=f"{self.image_dir}/weights_{k}.hex" if self.image_dir else "",
        )
        m.submodules[f"bank_{k}"] = ram
        head = len(self.load_en) + len(self.load_row)
        enable, row = soon[: len(self.load_en)], soon[len(self.load_en) : head]
        word = Signal.like(self.load_address)  # as wide as the larger weight memory's
        m.d.sync += ram.w_en.eq(Mux(row == k, enable, 0))
        m.d.comb += [
            Cat(word, ram.w_data).eq(load[head:]),
            ram.w_addr.eq(word),
            ram.r_addr.eq(address),
        ]
        weights = delay(m, ram.r_data, p.weight_registers, f"weights_{k}")
        return data.View(data.ArrayLayout(signed(weight.bits), weight.fields), weights)

    def _add(self, m: Module, k: int, n: int, product: Value, above: Signal | None) -> Signal:
        """The partial sum of column n below row k."""
        p = self.params
        # k + 1 products of two full-range operands.
        bits = min(p.accumulator_bits, p.rows.product_bits(p.weight_bits) + k.bit_length())
        below = Signal(signed(bits), name=f"partial_{k}_{n}")
        m.d.sync += below.eq(product if above is None else above + product)
        return below
