// Registered multiplier for ECP5: one MULT18X18D with its own operand and product registers.
// Same ports, latency (2 cycles) and results as the portable hw/cells/generic/weft_mul.v; a signed
// operand has at most 18 bits, an unsigned one at most 17 (it is zero-extended: the multiplier
// always works in two's complement). p starts at 0 and needs no reset.
// nextpnr times the multiplier as registered only if both operands and the product are.
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
        if (A_BITS > (A_SIGNED != 0 ? 18 : 17) || B_BITS > (B_SIGNED != 0 ? 18 : 17)) begin : g_wide
            $error("weft_mul: operands of at most 18 bits (signed) or 17 bits (unsigned)");
        end
    endgenerate

    // Operands lie at the top of the multiplier's: zeros below them cost nothing, while copies of a
    // sign above them would each be routed. An unsigned operand leaves its sign bit 0.
    localparam A_BELOW = (A_SIGNED != 0 ? 18 : 17) - A_BITS;
    localparam B_BELOW = (B_SIGNED != 0 ? 18 : 17) - B_BITS;
    wire [17:0] a_wide, b_wide;
    genvar i;
    generate
        for (i = 0; i < 18; i = i + 1) begin : g_place
            if (i >= A_BELOW && i < A_BELOW + A_BITS) begin : g_a
                assign a_wide[i] = a[i-A_BELOW];
            end else begin : g_no_a
                assign a_wide[i] = 1'b0;
            end
            if (i >= B_BELOW && i < B_BELOW + B_BITS) begin : g_b
                assign b_wide[i] = b[i-B_BELOW];
            end else begin : g_no_b
                assign b_wide[i] = 1'b0;
            end
        end
    endgenerate
    wire [35:0] p_wide;
    assign p = p_wide[A_BELOW+B_BELOW +: A_BITS+B_BITS];

    MULT18X18D #(
        .REG_INPUTA_CLK("CLK0"),
        .REG_INPUTB_CLK("CLK0"),
        .REG_OUTPUT_CLK("CLK0"),
        .SOURCEB_MODE("B_SHIFT"),
        .RESETMODE("SYNC"),
        .GSR("DISABLED")
    ) mult (
        .CLK0(clk), .CLK1(1'b0), .CLK2(1'b0), .CLK3(1'b0),
        .CE0(1'b1), .CE1(1'b1), .CE2(1'b1), .CE3(1'b1),
        .RST0(1'b0), .RST1(1'b0), .RST2(1'b0), .RST3(1'b0),
        .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
        .A0(a_wide[0]), .B0(b_wide[0]), .C0(1'b0),
        .A1(a_wide[1]), .B1(b_wide[1]), .C1(1'b0),
        .A2(a_wide[2]), .B2(b_wide[2]), .C2(1'b0),
        .A3(a_wide[3]), .B3(b_wide[3]), .C3(1'b0),
        .A4(a_wide[4]), .B4(b_wide[4]), .C4(1'b0),
        .A5(a_wide[5]), .B5(b_wide[5]), .C5(1'b0),
        .A6(a_wide[6]), .B6(b_wide[6]), .C6(1'b0),
        .A7(a_wide[7]), .B7(b_wide[7]), .C7(1'b0),
        .A8(a_wide[8]), .B8(b_wide[8]), .C8(1'b0),
        .A9(a_wide[9]), .B9(b_wide[9]), .C9(1'b0),
        .A10(a_wide[10]), .B10(b_wide[10]), .C10(1'b0),
        .A11(a_wide[11]), .B11(b_wide[11]), .C11(1'b0),
        .A12(a_wide[12]), .B12(b_wide[12]), .C12(1'b0),
        .A13(a_wide[13]), .B13(b_wide[13]), .C13(1'b0),
        .A14(a_wide[14]), .B14(b_wide[14]), .C14(1'b0),
        .A15(a_wide[15]), .B15(b_wide[15]), .C15(1'b0),
        .A16(a_wide[16]), .B16(b_wide[16]), .C16(1'b0),
        .A17(a_wide[17]), .B17(b_wide[17]), .C17(1'b0),
        .P0(p_wide[0]), .P1(p_wide[1]), .P2(p_wide[2]), .P3(p_wide[3]),
        .P4(p_wide[4]), .P5(p_wide[5]), .P6(p_wide[6]), .P7(p_wide[7]),
        .P8(p_wide[8]), .P9(p_wide[9]), .P10(p_wide[10]), .P11(p_wide[11]),
        .P12(p_wide[12]), .P13(p_wide[13]), .P14(p_wide[14]), .P15(p_wide[15]),
        .P16(p_wide[16]), .P17(p_wide[17]), .P18(p_wide[18]), .P19(p_wide[19]),
        .P20(p_wide[20]), .P21(p_wide[21]), .P22(p_wide[22]), .P23(p_wide[23]),
        .P24(p_wide[24]), .P25(p_wide[25]), .P26(p_wide[26]), .P27(p_wide[27]),
        .P28(p_wide[28]), .P29(p_wide[29]), .P30(p_wide[30]), .P31(p_wide[31]),
        .P32(p_wide[32]), .P33(p_wide[33]), .P34(p_wide[34]), .P35(p_wide[35])
    );
endmodule
