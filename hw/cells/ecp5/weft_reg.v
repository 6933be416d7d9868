// weft_reg as flip-flops of ECP5: yosys merges registers that take the same values, but not these.
module weft_reg #(
    parameter WIDTH = 1
) (
    input clk,
    input [WIDTH-1:0] d,
    output [WIDTH-1:0] q
);
    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : g_bits
            TRELLIS_FF #(
                .GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .LSRMUX("LSR"), .REGSET("RESET")
            ) cell_i (
                .CLK(clk), .LSR(1'b0), .DI(d[i]), .Q(q[i])
            );
        end
    endgenerate
endmodule
