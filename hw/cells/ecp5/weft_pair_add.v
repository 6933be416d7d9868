// weft_pair_add on ECP5: the gates lie in the carry chain's own lookup tables, so that a bit takes
// half a CCU2C and nothing else (yosys would build them in front of the chain).
// A CCU2C bit gives LUT4(A, B, C, D) ^ carry and passes on LUT2(A, B) where the LUT4 is 0; the LUT2
// is the LUT4's lowest four entries, A & B (or its complement) here.
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
    localparam CELLS = (WIDTH + 1) / 2;
    localparam [15:0] INIT = (SUBTRACT != 0) ? 16'h8777 : 16'h7888;

    wire [2*CELLS-1:0] a_wide = a;
    wire [2*CELLS-1:0] b_wide = b;
    wire [2*CELLS-1:0] sum;
    wire [CELLS:0] carry;

    assign carry[0] = (SUBTRACT != 0);
    genvar i;
    generate
        for (i = 0; i < CELLS; i = i + 1) begin : g_bits
            CCU2C #(
                .INIT0(INIT), .INIT1(INIT), .INJECT1_0("NO"), .INJECT1_1("NO")
            ) cell_i (
                .CIN(carry[i]),
                .A0(a_wide[2*i]), .B0(x), .C0(b_wide[2*i]), .D0(y),
                .A1(a_wide[2*i+1]), .B1(x), .C1(b_wide[2*i+1]), .D1(y),
                .S0(sum[2*i]), .S1(sum[2*i+1]), .COUT(carry[i+1])
            );
        end
    endgenerate
    assign s = sum[WIDTH-1:0];
endmodule
