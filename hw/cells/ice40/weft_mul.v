// Registered multiplier for iCE40 UltraPlus: one SB_MAC16 with its own operand and product registers.
// Same ports, latency (2 cycles) and results as the portable hw/cells/generic/weft_mul.v; an operand
// has at most 16 bits, signed or not. p starts at 0 and needs no reset.
// nextpnr does not time the inside of the block; with all registers on, Lattice gives 50 MHz.
module weft_mul #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter A_SIGNED = 1,
    parameter B_SIGNED = 1
) (
    input clk,
    input [A_BITS-1:0] a,
    input [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] p
);
    generate
        if (A_BITS > 16 || B_BITS > 16) begin : g_wide
            $error("weft_mul: operands of at most 16 bits");
        end
    endgenerate

    wire a_top = (A_SIGNED != 0) & a[A_BITS-1];
    wire b_top = (B_SIGNED != 0) & b[B_BITS-1];
    wire [31:0] a_wide = {{32-A_BITS{a_top}}, a};
    wire [31:0] b_wide = {{32-B_BITS{b_top}}, b};
    wire [31:0] p_wide;
    assign p = p_wide[A_BITS+B_BITS-1:0];

    SB_MAC16 #(
        .MODE_8x8(1'b0), .A_SIGNED(A_SIGNED != 0), .B_SIGNED(B_SIGNED != 0),
        .A_REG(1'b1), .B_REG(1'b1), .PIPELINE_16x16_MULT_REG2(1'b1),
        .TOPOUTPUT_SELECT(2'd3), .BOTOUTPUT_SELECT(2'd3)
    ) mac (
        .CLK(clk), .CE(1'b1), .A(a_wide[15:0]), .B(b_wide[15:0]), .C(16'd0), .D(16'd0), .O(p_wide),
        .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0),
        .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0),
        .OLOADTOP(1'b0), .OLOADBOT(1'b0), .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0),
        .OHOLDTOP(1'b0), .OHOLDBOT(1'b0), .CI(1'b0), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0),
        .CO(), .ACCUMCO(), .SIGNEXTOUT()
    );
endmodule
