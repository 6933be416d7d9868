"""The vector unit: K lanes, each with its own accumulators (depthwise, pools, pairs)."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.dual import dual_products
from weft.hw.multiplier import Multiplier
from weft.hw.own import own
from weft.hw.ram import Ram
from weft.hw.step import VectorOp
from weft.machine.engine import Engine, Style, Unit
from weft.machine.images import vector_word
from weft.machine.timing import ROW_LATENCY, multiplier_latency, unit_latency

PAIR_SHIFT = 16
"""Where the second operand of a pair sits in the accumulator."""


@dataclass(frozen=True, kw_only=True)
class Operands:
    """What a lane multiplies: an activation with the weight of each of its sums.

    While ``product`` is high, the activation is the upper 8 of the 9 bits of a tile's second word
    less its zero point, and the first weight those of the first word. Four times their product and
    ``rest``, which comes with it, make the whole one.
    """

    act: Value
    weights: list[Value]
    product: Signal | None = None
    rest: Signal | None = None


class VectorUnit(wiring.Component):
    """Accumulates each lane over the taps of a tile as ``op`` says.

    With ``rolling``, a lane works on T neighbouring output columns at once: every word is
    multiplied by T weights, the sums move on by one column with every tile, and each word of a row
    is read once. Otherwise (and for all but MAC) only the first of the T sums is used.

    With ``product`` (only where ``params.products``; MAC, two taps, not rolling) a sum is the first
    word less ``zero_first``, times the second one less ``zero_second``; a pair's second word is
    inverted.

    ``sums`` holds the K results in the cycle ``unit_latency`` after a tile's last tap was issued.

    Members
    -------
    lanes: K int8 activations of a tap, ``ROW_LATENCY`` cycles after its issue. address: of its
    weights (for MAC), ``weight_issue`` cycles after its issue. active: a tap is issued; without it
    the sums stay as they are. first: marks a tile's first tap, fresh: and the sums are all new,
    both at its issue. load_*: writes chunks of the weight memory.
    """

    def __init__(self, params: Engine, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        p, weight = params, vector_word(params)
        product = {"product": In(1), "zero_first": In(signed(8)), "zero_second": In(signed(8))}
        super().__init__(
            {
                "op": In(VectorOp),
                "rolling": In(1),
                "lanes": In(data.ArrayLayout(signed(8), p.lanes)),
                "address": In(p.weight_address_bits),
                "active": In(1),
                "first": In(1),
                "fresh": In(1),
                "sums": Out(data.ArrayLayout(signed(p.accumulator_bits), p.lanes)),
                "load_en": In(weight.chunks),
                "load_address": In(p.weight_address_bits),
                "load_data": In(weight.width),
                **(product if p.products else {}),
            }
        )

    op: Signal
    rolling: Signal
    lanes: data.View
    address: Signal
    active: Signal
    first: Signal
    fresh: Signal
    sums: data.View
    load_en: Signal
    load_address: Signal
    load_data: Signal
    product: Signal
    zero_first: Signal
    zero_second: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, weight = self.params, vector_word(self.params)
        ram = Ram(
            width=weight.width,
            depth=p.memories.vector,
            grain=weight.chunk_bits,
            init_file=f"{self.image_dir}/vector.hex" if self.image_dir else "",
        )
        m.submodules.weights = ram
        m.d.comb += [
            ram.r_addr.eq(self.address),
            ram.w_en.eq(self.load_en),
            ram.w_addr.eq(self.load_address),
            ram.w_data.eq(self.load_data),
        ]
        row = data.ArrayLayout(signed(p.weight_bits), p.lanes)
        words = delay(m, ram.r_data, p.weight_registers, "words")
        weights = data.View(data.ArrayLayout(row, p.vector_taps), words)

        # Each lane has the last registers for itself.
        cycles = unit_latency(p, Unit.VECTOR) - 2
        roll = Signal()
        clear = Signal()
        m.d.comb += [
            roll.eq(self.first & self.rolling & ~self.fresh),
            clear.eq(self.first & ~roll),
        ]
        roll = delay(m, roll, cycles, "roll")
        clear = delay(m, clear, cycles - 1, "clear")
        active = delay(m, self.active, cycles - 1, "active")
        lanes = [
            Operands(act=self.lanes[k], weights=[weights[t][k] for t in range(p.vector_taps)])
            for k in range(p.lanes)
        ]
        if p.products:
            lanes = self._centred(m, lanes)
        products = self._products(m, lanes)
        for k in range(p.lanes):
            self._lane(m, k, lanes[k], products[k], active, roll, clear)
        return m

    def _centred(self, m: Module, lanes: list[Operands]) -> list[Operands]:
        """The operands, in a step of products those of the tile's two words."""
        latency = multiplier_latency(self.params.styles.vector, 8)
        first = delay(m, self.first, ROW_LATENCY - 2, "opens")
        zero = Signal(signed(8))
        m.d.sync += zero.eq(Mux(first, self.zero_first, self.zero_second))
        first = delay(m, first, 1, "opens_late")
        result = []
        for k, lane in enumerate(lanes):
            product, own_first, own_zero = (
                own(m, signal, f"{name}_{k}")
                for name, signal in (("product", self.product), ("first", first), ("zero", zero))
            )
            word, held = (Signal(signed(9), name=f"{name}_{k}") for name in ("word", "held"))
            rest = Signal(signed(10), name=f"rest_{k}")
            m.d.comb += [
                word.eq(lane.act - own_zero),
                # The words are 2 w + w0 and 2 h + h0: beside 4 w h, w0 (2 h + h0) and h0 2 w.
                rest.eq(
                    Mux(word[0], held, 0) + Mux(held[0], Cat(Const(0, 1), word[1:]).as_signed(), 0)
                ),
            ]
            with m.If(own_first):
                m.d.sync += held.eq(word)
            weight, *others = lane.weights
            result.append(
                Operands(
                    act=Mux(product, word >> 1, lane.act),
                    weights=[Mux(product, held >> 1, weight), *others],
                    product=product,
                    rest=delay(m, rest, latency, f"rest_{k}"),
                )
            )
        return result

    def _products(self, m: Module, lanes: list[Operands]) -> list[list[Signal]]:
        """T products of each lane."""
        p = self.params
        operands = [[(weight, lane.act) for weight in lane.weights] for lane in lanes]
        if p.styles.vector is Style.DUAL:
            products = dual_products(m, [pair for lane in operands for pair in lane], "mul")
            n = p.vector_taps
            return [products[k * n :][:n] for k in range(p.lanes)]
        products = []
        for k, lane in enumerate(operands):
            products.append([])
            for t, (weight, act) in enumerate(lane):
                multiplier = Multiplier(signed(p.weight_bits), signed(8), p.styles.vector)
                m.submodules[f"mul_{k}_{t}"] = multiplier
                m.d.comb += [multiplier.a.eq(weight), multiplier.b.eq(act)]
                products[k].append(multiplier.p)
        return products

    def _lane(
        self,
        m: Module,
        k: int,
        operands: Operands,
        products: list,
        active: Signal,
        roll: Signal,
        clear: Signal,
    ) -> None:
        """One adder for each sum. What it adds, a product apart, lies ready in a register, the
        largest word so far, too."""
        p = self.params
        is_mac, is_max, is_pair = (
            own(m, self.op == op, f"is_{op.name.lower()}_{k}")
            for op in (VectorOp.MAC, VectorOp.MAX, VectorOp.PAIR)
        )
        active_soon, clear_soon = own(m, active, f"active_{k}"), own(m, clear, f"clear_{k}")
        active, clear = Signal(name=f"adds_{k}"), Signal(name=f"clears_{k}")
        m.d.sync += [active.eq(active_soon), clear.eq(clear_soon | is_max)]
        roll = own(m, roll, f"roll_{k}")
        act = delay(m, self.lanes[k], multiplier_latency(p.styles.vector, 8) - 1, f"act_{k}")

        addend = Signal(signed(p.accumulator_bits), name=f"addend_{k}")
        second = act
        if operands.product is not None:
            second = Mux(operands.product, ~act, act)
        # The sign of a difference is one carry chain; a comparison takes more.
        behind = (addend[:8].as_signed() - act)[-1]
        stays = is_max & ~clear_soon & ~behind
        with m.If(active_soon & ~stays):
            m.d.sync += addend.eq(Mux(is_pair & ~clear_soon, second << PAIR_SHIFT, act))

        # Names of their own, not those of ``sums``: yosys 0.70 asserted in ABC9 on a large network.
        totals = [Signal.like(addend, name=f"sum_{k}_{t}") for t in range(len(products))]
        m.d.comb += self.sums[k].eq(totals[0])
        kept = [
            Mux(clear, 0, Mux(roll, after, total))
            for total, after in zip(totals, [*totals[1:], 0], strict=True)
        ]
        product, *others = products
        if operands.product is not None and operands.rest is not None:
            # Of the tile's last tap alone.
            kept[0] = Mux(operands.product & is_mac, operands.rest, kept[0])
            product = Mux(operands.product, product << 2, product)
        addends = [Mux(is_mac, product, addend), *others]
        # Sums that roll outlive their tile: the idle cycles behind it must not touch them.
        with m.If(active):
            for total, before, added in zip(totals, kept, addends, strict=True):
                m.d.sync += total.eq(before + added)
