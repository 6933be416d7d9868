// Registered multiplier for Gowin GW1N and GW2A: one MULT9X9 or MULT18X18 with its own operand and
// product registers, which saves as many flip-flops of the fabric and one pass-through LUT for each.
// Same ports, latency (2 cycles) and results as the portable hw/cells/generic/weft_mul.v; operands
// have at most 18 bits. p needs no reset.
// Ref: Gowin UG287, DSP User Guide, MULT9X9 and MULT18X18 (AREG, BREG, OUT_REG: one cycle each).
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
    wire a_top = (A_SIGNED != 0) & a[A_BITS-1];
    wire b_top = (B_SIGNED != 0) & b[B_BITS-1];

    generate
        if (A_BITS > 18 || B_BITS > 18) begin : g_wide
            $error("weft_mul: operands of at most 18 bits");
        end else if (A_BITS <= 9 && B_BITS <= 9) begin : g_9
            wire [17:0] a_wide = {{18-A_BITS{a_top}}, a};
            wire [17:0] b_wide = {{18-B_BITS{b_top}}, b};
            wire [17:0] p_wide;
            MULT9X9 #(
                .AREG(1'b1), .BREG(1'b1), .OUT_REG(1'b1), .PIPE_REG(1'b0),
                .ASIGN_REG(1'b0), .BSIGN_REG(1'b0), .SOA_REG(1'b0), .MULT_RESET_MODE("SYNC")
            ) mult (
                .CLK(clk), .CE(1'b1), .RESET(1'b0),
                .A(a_wide[8:0]), .SIA(9'b0), .ASEL(1'b0), .ASIGN(A_SIGNED != 0),
                .B(b_wide[8:0]), .SIB(9'b0), .BSEL(1'b0), .BSIGN(B_SIGNED != 0),
                .DOUT(p_wide)
            );
            assign p = p_wide[A_BITS+B_BITS-1:0];
        end else begin : g_18
            wire [35:0] a_wide = {{36-A_BITS{a_top}}, a};
            wire [35:0] b_wide = {{36-B_BITS{b_top}}, b};
            wire [35:0] p_wide;
            MULT18X18 #(
                .AREG(1'b1), .BREG(1'b1), .OUT_REG(1'b1), .PIPE_REG(1'b0),
                .ASIGN_REG(1'b0), .BSIGN_REG(1'b0), .SOA_REG(1'b0), .MULT_RESET_MODE("SYNC")
            ) mult (
                .CLK(clk), .CE(1'b1), .RESET(1'b0),
                .A(a_wide[17:0]), .SIA(18'b0), .ASEL(1'b0), .ASIGN(A_SIGNED != 0),
                .B(b_wide[17:0]), .SIB(18'b0), .BSEL(1'b0), .BSIGN(B_SIGNED != 0),
                .DOUT(p_wide)
            );
            assign p = p_wide[A_BITS+B_BITS-1:0];
        end
    endgenerate
endmodule
