// Two bits of ECP5's carry chain, as the device's documentation and nextpnr's packing describe them:
// each bit gives LUT4 ^ carry in, and passes the carry on where LUT4 is 1, else its lower LUT2.
module CCU2C #(
    parameter [15:0] INIT0 = 16'h0000,
    parameter [15:0] INIT1 = 16'h0000,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire lut4_0 = INIT0[{D0, C0, B0, A0}];
    wire lut4_1 = INIT1[{D1, C1, B1, A1}];
    wire lut2_0 = INIT0[{2'b00, B0, A0}] & (INJECT1_0 != "YES");
    wire lut2_1 = INIT1[{2'b00, B1, A1}] & (INJECT1_1 != "YES");
    wire middle = lut4_0 ? CIN : lut2_0;
    assign S0 = lut4_0 ^ ((INJECT1_0 == "YES") ? 1'b0 : CIN);
    assign S1 = lut4_1 ^ ((INJECT1_1 == "YES") ? 1'b0 : middle);
    assign COUT = lut4_1 ? middle : lut2_1;
endmodule
