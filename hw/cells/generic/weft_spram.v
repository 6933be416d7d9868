// Large memory with one port for writes and reads, portable.
// Write: with w_en[i], bits [GRAIN*i +: GRAIN] of word w_addr change at the clock edge. GRAIN must be
// 8 or a multiple and divide WIDTH. Read: r_data(t+2) = word r_addr(t), if no bit of w_en is set in
// cycle t; otherwise r_data(t+2) is undefined. The contents at start are undefined, and so are
// addresses >= DEPTH.
module weft_spram #(
    parameter WIDTH = 16,
    parameter DEPTH = 16384,
    parameter GRAIN = 8,
    parameter ADDR_BITS = 14
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
    wire write = w_en != 0;
    wire [ADDR_BITS-1:0] address = write ? w_addr : r_addr;
    integer i;

    always @(posedge clk) begin
        for (i = 0; i < WIDTH / GRAIN; i = i + 1)
            if (w_en[i]) mem[address][GRAIN*i +: GRAIN] <= w_data[GRAIN*i +: GRAIN];
        if (!write) read <= mem[address];
        r_data <= read;
    end
endmodule
