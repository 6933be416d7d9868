// Two gated numbers added, portable: s = (a if x) + (b if y), or (b if y) - (a if x) with SUBTRACT.
// Combinational; all of WIDTH bits, modulo 2**WIDTH. One row pair of a multiplier's adder tree.
module weft_pair_add #(
    parameter WIDTH = 8,
    parameter SUBTRACT = 0
) (
    input [WIDTH-1:0] a,
    input x,
    input [WIDTH-1:0] b,
    input y,
    output [WIDTH-1:0] s
);
    wire [WIDTH-1:0] a_gated = a & {WIDTH{x}};
    wire [WIDTH-1:0] b_gated = b & {WIDTH{y}};
    assign s = (SUBTRACT != 0) ? b_gated - a_gated : b_gated + a_gated;
endmodule
