// Block RAM with one write port and one read port, portable.
// Write: with w_en[i], bits [GRAIN*i +: GRAIN] of word w_addr change at the clock edge. WIDTH must
// be a multiple of GRAIN. Read: r_data(t+2) = word r_addr(t), every cycle (the memory's own read
// and an output register). Reading the word that is written in the same cycle gives an undefined
// value, as do addresses >= DEPTH. INIT: file for $readmemh, one word per line, path relative to
// the tool's working directory; "" leaves the contents undefined.
module weft_ram #(
    parameter WIDTH = 36,
    parameter DEPTH = 512,
    parameter GRAIN = 36,
    parameter ADDR_BITS = 9,
    parameter INIT = ""
) (
    input clk,
    input [WIDTH/GRAIN-1:0] w_en,
    input [ADDR_BITS-1:0] w_addr,
    input [WIDTH-1:0] w_data,
    input [ADDR_BITS-1:0] r_addr,
    output reg [WIDTH-1:0] r_data
);
    (* no_rw_check *) reg [WIDTH-1:0] mem [0:DEPTH-1];
    reg [WIDTH-1:0] read;
    integer i;

    generate
        if (INIT != "") begin : g_init
            initial $readmemh(INIT, mem);
        end
    endgenerate

    always @(posedge clk) begin
        for (i = 0; i < WIDTH / GRAIN; i = i + 1)
            if (w_en[i]) mem[w_addr][GRAIN*i +: GRAIN] <= w_data[GRAIN*i +: GRAIN];
        read <= mem[r_addr];
        r_data <= read;
    end
endmodule
