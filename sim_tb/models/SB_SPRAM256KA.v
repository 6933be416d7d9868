// Behaviour of the iCE40 UltraPlus cell SB_SPRAM256KA; simulation only. yosys has a model, too, but
// cannot read it itself: it forgets 16,384 words at once when the power goes.
// Ref: Lattice iCE40 SPRAM Usage Guide (FPGA-TN-02022).
// Modelled: reads, writes with a mask bit for each four data bits, CHIPSELECT. What DATAOUT shows
// after a write, and the memory before the first one, is undefined: here, inverted data and a
// pattern. STANDBY, SLEEP and POWEROFF stop the simulation.
module SB_SPRAM256KA (
    input [13:0] ADDRESS,
    input [15:0] DATAIN,
    input [3:0] MASKWREN,
    input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
    output reg [15:0] DATAOUT
);
    reg [15:0] words [0:16383];
    integer i;
    initial begin
        for (i = 0; i < 16384; i = i + 1) words[i] = 16'hA5C3 ^ (i[13:0] * 16'd40503);
        DATAOUT = 16'h5A3C;
    end
    always @(posedge CLOCK) begin
        if (CHIPSELECT && WREN) begin
            for (i = 0; i < 4; i = i + 1)
                if (MASKWREN[i]) words[ADDRESS][4 * i +: 4] <= DATAIN[4 * i +: 4];
            DATAOUT <= ~DATAIN;
        end else if (CHIPSELECT) DATAOUT <= words[ADDRESS];
        if (STANDBY || SLEEP || !POWEROFF) begin
            $display("SB_SPRAM256KA: a mode that this model does not have");
            $stop;
        end
    end
endmodule
