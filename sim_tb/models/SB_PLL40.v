// Stand-ins for the iCE40 cells SB_PLL40_CORE and SB_PLL40_PAD; simulation only (yosys ships the
// cells without a model).
// Every output is the reference itself: a simulated board counts cycles of the design's clock, not
// time. LOCK rises after a few cycles, so that what waits for it is exercised.
module SB_PLL40_CORE #(
    parameter FEEDBACK_PATH = "SIMPLE",
    parameter DIVR = 0,
    parameter DIVF = 0,
    parameter DIVQ = 0,
    parameter FILTER_RANGE = 0
) (
    input REFERENCECLK, BYPASS, RESETB,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK
);
    reg [4:0] age;
    initial age = 0;
    always @(posedge REFERENCECLK)
        if (!RESETB) age <= 0;
        else if (!LOCK) age <= age + 1;
    assign LOCK = age[4];
    assign {PLLOUTCORE, PLLOUTGLOBAL} = {2{REFERENCECLK}};
endmodule

module SB_PLL40_PAD #(
    parameter FEEDBACK_PATH = "SIMPLE",
    parameter DIVR = 0,
    parameter DIVF = 0,
    parameter DIVQ = 0,
    parameter FILTER_RANGE = 0
) (
    input PACKAGEPIN, BYPASS, RESETB,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK
);
    SB_PLL40_CORE core (
        .REFERENCECLK(PACKAGEPIN), .BYPASS(BYPASS), .RESETB(RESETB),
        .PLLOUTCORE(PLLOUTCORE), .PLLOUTGLOBAL(PLLOUTGLOBAL), .LOCK(LOCK)
    );
endmodule
