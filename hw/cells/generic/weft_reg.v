// Register, portable: q(t+1) = d(t), 0 at start.
module weft_reg #(
    parameter WIDTH = 1
) (
    input clk,
    input [WIDTH-1:0] d,
    output [WIDTH-1:0] q
);
    reg [WIDTH-1:0] q_reg;
    initial q_reg = {WIDTH{1'b0}};

    always @(posedge clk) q_reg <= d;

    assign q = q_reg;
endmodule
