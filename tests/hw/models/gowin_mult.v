// Behaviour of the Gowin cells MULT9X9 and MULT18X18, as far as weft uses them; simulation only
// (yosys ships the cells without a model, so nothing holds this one to the hardware).
// Ref: Gowin UG287, DSP User Guide, MULT9X9 and MULT18X18.
// Modelled: operands A and B from the fabric, ASIGN and BSIGN (constants), operand, pipeline and
// output registers, CE and a synchronous RESET; not the shift chains SIA to SOA and SIB to SOB.
module weft_gowin_mult #(
    parameter WIDTH = 9,
    parameter AREG = 0,
    parameter BREG = 0,
    parameter OUT_REG = 0,
    parameter PIPE_REG = 0
) (
    input CLK, CE, RESET, ASIGN, BSIGN,
    input [WIDTH-1:0] A,
    input [WIDTH-1:0] B,
    output [2*WIDTH-1:0] DOUT
);
    reg [WIDTH-1:0] a_reg, b_reg;
    reg [2*WIDTH-1:0] pipe_reg, out_reg;
    wire [WIDTH-1:0] a = AREG != 0 ? a_reg : A;
    wire [WIDTH-1:0] b = BREG != 0 ? b_reg : B;
    wire [2*WIDTH-1:0] a_wide = {{WIDTH{ASIGN & a[WIDTH-1]}}, a};
    wire [2*WIDTH-1:0] b_wide = {{WIDTH{BSIGN & b[WIDTH-1]}}, b};
    wire [2*WIDTH-1:0] product = a_wide * b_wide;
    wire [2*WIDTH-1:0] piped = PIPE_REG != 0 ? pipe_reg : product;
    assign DOUT = OUT_REG != 0 ? out_reg : piped;
    always @(posedge CLK)
        if (CE) begin
            a_reg <= RESET ? {WIDTH{1'b0}} : A;
            b_reg <= RESET ? {WIDTH{1'b0}} : B;
            pipe_reg <= RESET ? {2*WIDTH{1'b0}} : product;
            out_reg <= RESET ? {2*WIDTH{1'b0}} : piped;
        end
endmodule

module MULT9X9 #(
    parameter AREG = 0,
    parameter BREG = 0,
    parameter OUT_REG = 0,
    parameter PIPE_REG = 0,
    parameter ASIGN_REG = 0,
    parameter BSIGN_REG = 0,
    parameter SOA_REG = 0,
    parameter MULT_RESET_MODE = "SYNC"
) (
    input CLK, CE, RESET, ASIGN, BSIGN, ASEL, BSEL,
    input [8:0] A, SIA,
    input [8:0] B, SIB,
    output [17:0] DOUT
);
    weft_gowin_mult #(
        .WIDTH(9), .AREG(AREG), .BREG(BREG), .OUT_REG(OUT_REG), .PIPE_REG(PIPE_REG)
    ) cell_i (
        .CLK(CLK), .CE(CE), .RESET(RESET), .ASIGN(ASIGN), .BSIGN(BSIGN), .A(A), .B(B), .DOUT(DOUT)
    );
endmodule

module MULT18X18 #(
    parameter AREG = 0,
    parameter BREG = 0,
    parameter OUT_REG = 0,
    parameter PIPE_REG = 0,
    parameter ASIGN_REG = 0,
    parameter BSIGN_REG = 0,
    parameter SOA_REG = 0,
    parameter MULT_RESET_MODE = "SYNC"
) (
    input CLK, CE, RESET, ASIGN, BSIGN, ASEL, BSEL,
    input [17:0] A, SIA,
    input [17:0] B, SIB,
    output [35:0] DOUT
);
    weft_gowin_mult #(
        .WIDTH(18), .AREG(AREG), .BREG(BREG), .OUT_REG(OUT_REG), .PIPE_REG(PIPE_REG)
    ) cell_i (
        .CLK(CLK), .CE(CE), .RESET(RESET), .ASIGN(ASIGN), .BSIGN(BSIGN), .A(A), .B(B), .DOUT(DOUT)
    );
endmodule
