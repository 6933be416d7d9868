// Registered multiplier, portable: p(t+2) = a(t) * b(t).
// Latency exactly 2 cycles (operand registers, product register), one product per cycle, no reset:
// p is undefined until two cycles after the first operands. A_SIGNED / B_SIGNED: 1 = two's
// complement, 0 = unsigned. p is two's complement if either operand is signed, and never overflows.
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
    localparam P_BITS = A_BITS + B_BITS;

    reg [A_BITS-1:0] a_reg;
    reg [B_BITS-1:0] b_reg;
    reg [P_BITS-1:0] p_reg;

    // Operands extended to the product's width: the low P_BITS of the product are then the same
    // for signed and unsigned, and synthesis narrows the extension away again.
    wire a_top = (A_SIGNED != 0) & a_reg[A_BITS-1];
    wire b_top = (B_SIGNED != 0) & b_reg[B_BITS-1];
    wire signed [P_BITS-1:0] a_wide = {{B_BITS{a_top}}, a_reg};
    wire signed [P_BITS-1:0] b_wide = {{A_BITS{b_top}}, b_reg};

    always @(posedge clk) begin
        a_reg <= a;
        b_reg <= b;
        p_reg <= a_wide * b_wide;
    end

    assign p = p_reg;
endmodule
