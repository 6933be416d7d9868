// The Verilated weft_soc as two C functions: Wishbone classic cycles.

#include <cstdint>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"

namespace {

Vtop &core() {
    static Vtop top;
    return top;
}

void cycle() {
    core().clk = 0;
    core().eval();
    core().clk = 1;
    core().eval();
}

uint32_t access(bool write, uint32_t address, uint32_t value) {
    Vtop &top = core();
    static bool powered;
    if (!powered) {
        top.rst = 1;
        for (int i = 0; i < 3; i++) cycle();
        top.rst = 0;
        powered = true;
    }
    top.wb_cyc = top.wb_stb = 1;
    top.wb_we = write;
    top.wb_adr = address;
    top.wb_sel = 15;
    top.wb_dat_w = value;
    do cycle();
    while (!top.wb_ack && !top.wb_err);
    const uint32_t answer = top.wb_dat_r;
    cycle();  // the master sees the answer at the next edge
    top.wb_cyc = top.wb_stb = 0;
    cycle();
    return answer;
}

}  // namespace

extern "C" uint32_t bus_read(uintptr_t address) { return access(false, address & 0xff, 0); }
extern "C" void bus_write(uintptr_t address, uint32_t value) { access(true, address & 0xff, value); }
