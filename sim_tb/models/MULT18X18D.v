// Behaviour of the ECP5 cell MULT18X18D, as far as weft uses it; simulation only (yosys ships the
// cell without a model).
// Ref: Lattice ECP5/ECP5-5G sysDSP usage guide (FPGA-TN-02205), 18x18 multiplier.
// Modelled: operands A and B from the fabric, SIGNEDA/SIGNEDB, operand, pipeline and output
// registers on CLK0 with CE0 and a synchronous RST0. Everything else (C, shift chains, other
// clocks, enables and resets) must be left at its default; `unsupported` stops the simulation.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE",
    parameter REG_INPUTA_CE = "CE0",
    parameter REG_INPUTA_RST = "RST0",
    parameter REG_INPUTB_CLK = "NONE",
    parameter REG_INPUTB_CE = "CE0",
    parameter REG_INPUTB_RST = "RST0",
    parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_PIPELINE_CE = "CE0",
    parameter REG_PIPELINE_RST = "RST0",
    parameter REG_OUTPUT_CLK = "NONE",
    parameter REG_OUTPUT_CE = "CE0",
    parameter REG_OUTPUT_RST = "RST0",
    parameter SOURCEB_MODE = "B_SHIFT",
    parameter MULT_BYPASS = "DISABLED",
    parameter GSR = "ENABLED",
    parameter RESETMODE = "SYNC"
) (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input CLK3, CLK2, CLK1, CLK0,
    input CE3, CE2, CE1, CE0,
    input RST3, RST2, RST1, RST0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
    P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a_pins = {
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
    };
    wire [17:0] b_pins = {
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
    };

    wire registers_ok = (REG_INPUTA_CLK == "CLK0" || REG_INPUTA_CLK == "NONE")
        && (REG_INPUTB_CLK == "CLK0" || REG_INPUTB_CLK == "NONE")
        && (REG_PIPELINE_CLK == "CLK0" || REG_PIPELINE_CLK == "NONE")
        && (REG_OUTPUT_CLK == "CLK0" || REG_OUTPUT_CLK == "NONE")
        && REG_INPUTA_CE == "CE0" && REG_INPUTB_CE == "CE0"
        && REG_PIPELINE_CE == "CE0" && REG_OUTPUT_CE == "CE0"
        && REG_INPUTA_RST == "RST0" && REG_INPUTB_RST == "RST0"
        && REG_PIPELINE_RST == "RST0" && REG_OUTPUT_RST == "RST0";
    wire unsupported = SOURCEA | SOURCEB | !registers_ok | MULT_BYPASS != "DISABLED"
        | SOURCEB_MODE != "B_SHIFT" | RESETMODE != "SYNC";
    always @(posedge CLK0) if (unsupported) begin
        $display("MULT18X18D: a mode that this model does not have");
        $stop;
    end

    // Every register starts at 0, as the device's do after configuration. The sign controls are
    // registered with their operands.
    reg [18:0] a_reg, b_reg;
    reg [35:0] pipe_reg, out_reg;
    initial begin
        a_reg = 0;
        b_reg = 0;
        pipe_reg = 0;
        out_reg = 0;
    end
    wire [18:0] a_now = {SIGNEDA & A17, a_pins};
    wire [18:0] b_now = {SIGNEDB & B17, b_pins};
    wire signed [18:0] a = REG_INPUTA_CLK == "NONE" ? a_now : a_reg;
    wire signed [18:0] b = REG_INPUTB_CLK == "NONE" ? b_now : b_reg;
    wire signed [37:0] product = a * b;
    wire [35:0] piped = REG_PIPELINE_CLK == "NONE" ? product[35:0] : pipe_reg;
    wire [35:0] p = REG_OUTPUT_CLK == "NONE" ? piped : out_reg;

    always @(posedge CLK0) begin
        if (CE0) begin
            a_reg <= a_now;
            b_reg <= b_now;
            pipe_reg <= product[35:0];
            out_reg <= piped;
        end
        if (RST0) begin
            a_reg <= 0;
            b_reg <= 0;
            pipe_reg <= 0;
            out_reg <= 0;
        end
    end

    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
        P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = p;
endmodule
