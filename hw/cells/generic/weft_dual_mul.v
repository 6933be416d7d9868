// Two registered 8 x 8 multipliers, portable: p0(t+2) = a0(t) * b0(t), p1(t+2) = a1(t) * b1(t).
// All two's complement. Latency exactly 2 cycles (operand registers, product registers), new
// operands every cycle, no reset: p0 and p1 are undefined until two cycles after the first ones.
module weft_dual_mul (
    input clk,
    input signed [7:0] a0,
    input signed [7:0] b0,
    input signed [7:0] a1,
    input signed [7:0] b1,
    output reg signed [15:0] p0,
    output reg signed [15:0] p1
);
    reg signed [7:0] a0_reg, b0_reg, a1_reg, b1_reg;

    always @(posedge clk) begin
        a0_reg <= a0;
        b0_reg <= b0;
        a1_reg <= a1;
        b1_reg <= b1;
        p0 <= a0_reg * b0_reg;
        p1 <= a1_reg * b1_reg;
    end
endmodule
