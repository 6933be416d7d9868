// Behaviour of the ECP5 cell DP16KD; simulation only (yosys ships the cell without a model).
// Ref: Lattice ECP5 and ECP5-5G Memory Usage Guide (FPGA-TN-02204), true dual port and pseudo dual
// port; the layout of INITVAL and of 36-bit words as yosys maps them.
// Modelled: words of 1 to 18 bits on each port, 36 (written through A, read through B, which takes
// both ports' data pins), byte enables, both clock edges, enables, output registers, synchronous
// resets, and what a port that writes shows itself: its old output or the old word. Anything else
// stops the simulation.
// Bits that are read on one port while the other writes them are undefined: here, inverted.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB",
    parameter GSR = "ENABLED",
    parameter [319:0] INITVAL_00 = 0,
    parameter [319:0] INITVAL_01 = 0,
    parameter [319:0] INITVAL_02 = 0,
    parameter [319:0] INITVAL_03 = 0,
    parameter [319:0] INITVAL_04 = 0,
    parameter [319:0] INITVAL_05 = 0,
    parameter [319:0] INITVAL_06 = 0,
    parameter [319:0] INITVAL_07 = 0,
    parameter [319:0] INITVAL_08 = 0,
    parameter [319:0] INITVAL_09 = 0,
    parameter [319:0] INITVAL_0A = 0,
    parameter [319:0] INITVAL_0B = 0,
    parameter [319:0] INITVAL_0C = 0,
    parameter [319:0] INITVAL_0D = 0,
    parameter [319:0] INITVAL_0E = 0,
    parameter [319:0] INITVAL_0F = 0,
    parameter [319:0] INITVAL_10 = 0,
    parameter [319:0] INITVAL_11 = 0,
    parameter [319:0] INITVAL_12 = 0,
    parameter [319:0] INITVAL_13 = 0,
    parameter [319:0] INITVAL_14 = 0,
    parameter [319:0] INITVAL_15 = 0,
    parameter [319:0] INITVAL_16 = 0,
    parameter [319:0] INITVAL_17 = 0,
    parameter [319:0] INITVAL_18 = 0,
    parameter [319:0] INITVAL_19 = 0,
    parameter [319:0] INITVAL_1A = 0,
    parameter [319:0] INITVAL_1B = 0,
    parameter [319:0] INITVAL_1C = 0,
    parameter [319:0] INITVAL_1D = 0,
    parameter [319:0] INITVAL_1E = 0,
    parameter [319:0] INITVAL_1F = 0,
    parameter [319:0] INITVAL_20 = 0,
    parameter [319:0] INITVAL_21 = 0,
    parameter [319:0] INITVAL_22 = 0,
    parameter [319:0] INITVAL_23 = 0,
    parameter [319:0] INITVAL_24 = 0,
    parameter [319:0] INITVAL_25 = 0,
    parameter [319:0] INITVAL_26 = 0,
    parameter [319:0] INITVAL_27 = 0,
    parameter [319:0] INITVAL_28 = 0,
    parameter [319:0] INITVAL_29 = 0,
    parameter [319:0] INITVAL_2A = 0,
    parameter [319:0] INITVAL_2B = 0,
    parameter [319:0] INITVAL_2C = 0,
    parameter [319:0] INITVAL_2D = 0,
    parameter [319:0] INITVAL_2E = 0,
    parameter [319:0] INITVAL_2F = 0,
    parameter [319:0] INITVAL_30 = 0,
    parameter [319:0] INITVAL_31 = 0,
    parameter [319:0] INITVAL_32 = 0,
    parameter [319:0] INITVAL_33 = 0,
    parameter [319:0] INITVAL_34 = 0,
    parameter [319:0] INITVAL_35 = 0,
    parameter [319:0] INITVAL_36 = 0,
    parameter [319:0] INITVAL_37 = 0,
    parameter [319:0] INITVAL_38 = 0,
    parameter [319:0] INITVAL_39 = 0,
    parameter [319:0] INITVAL_3A = 0,
    parameter [319:0] INITVAL_3B = 0,
    parameter [319:0] INITVAL_3C = 0,
    parameter [319:0] INITVAL_3D = 0,
    parameter [319:0] INITVAL_3E = 0,
    parameter [319:0] INITVAL_3F = 0
) (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
    // 2048 bytes of 9 bits; words of less than 9 bits use 8 of them.
    reg [8:0] bytes [0:2047];
    wire [20479:0] init = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };
    integer i;
    initial for (i = 0; i < 2048; i = i + 1) bytes[i] = init[20 * (i / 2) + 9 * (i % 2) +: 9];

    wire [13:0] ada = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [13:0] adb = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    wire [17:0] dia = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0
    };
    wire [17:0] dib = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0
    };
    localparam WIDE = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;

    // Address bits below a word of so many bits.
    function integer low(input integer width);
        case (width)
            36: low = 5;
            18: low = 4;
            9: low = 3;
            4: low = 2;
            2: low = 1;
            default: low = 0;
        endcase
    endfunction

    // Whether a write, to a word with an enable for each byte if it has several, meets a byte.
    function meets(input [13:0] ad, input integer width, input [10:0] place);
        case (width)
            36: meets = place[10:2] == ad[13:5] && ad[place[1:0]];
            18: meets = place[10:1] == ad[13:4] && ad[place[0]];
            default: meets = place == ad[13:3];
        endcase
    endfunction

    // The bits of a word that is read which a write on the other port changes at the same time.
    function [35:0] changed(input [13:0] ad, input integer width, input [13:0] w_ad,
                            input integer w_width);
        integer n;
        begin
            n = low(width) > low(w_width) ? low(width) : low(w_width);
            case (width)
                36: changed = {
                    {9{meets(w_ad, w_width, {ad[13:5], 2'd3})}},
                    {9{meets(w_ad, w_width, {ad[13:5], 2'd2})}},
                    {9{meets(w_ad, w_width, {ad[13:5], 2'd1})}},
                    {9{meets(w_ad, w_width, {ad[13:5], 2'd0})}}
                };
                18: changed = {
                    18'd0,
                    {9{meets(w_ad, w_width, {ad[13:4], 1'd1})}},
                    {9{meets(w_ad, w_width, {ad[13:4], 1'd0})}}
                };
                default: changed = meets(w_ad, w_width, ad[13:3])
                    && (w_width > 4 || ad >> n == w_ad >> n) ? ~36'd0 : 36'd0;
            endcase
        end
    endfunction

    function [35:0] word(input [13:0] ad, input integer width);
        case (width)
            36: word = {bytes[{ad[13:5], 2'd3}], bytes[{ad[13:5], 2'd2}],
                        bytes[{ad[13:5], 2'd1}], bytes[{ad[13:5], 2'd0}]};
            18: word = {18'b0, bytes[{ad[13:4], 1'b1}], bytes[{ad[13:4], 1'b0}]};
            9: word = {27'b0, bytes[ad[13:3]]};
            4: word = {32'b0, bytes[ad[13:3]][4 * ad[2] +: 4]};
            2: word = {34'b0, bytes[ad[13:3]][2 * ad[2:1] +: 2]};
            default: word = {35'b0, bytes[ad[13:3]][ad[2:0]]};
        endcase
    endfunction

    task store(input [13:0] ad, input integer width, input [35:0] data);
        case (width)
            36: begin
                if (ad[0]) bytes[{ad[13:5], 2'd0}] <= data[8:0];
                if (ad[1]) bytes[{ad[13:5], 2'd1}] <= data[17:9];
                if (ad[2]) bytes[{ad[13:5], 2'd2}] <= data[26:18];
                if (ad[3]) bytes[{ad[13:5], 2'd3}] <= data[35:27];
            end
            18: begin
                if (ad[0]) bytes[{ad[13:4], 1'b0}] <= data[8:0];
                if (ad[1]) bytes[{ad[13:4], 1'b1}] <= data[17:9];
            end
            9: bytes[ad[13:3]] <= data[8:0];
            4: bytes[ad[13:3]][4 * ad[2] +: 4] <= data[3:0];
            2: bytes[ad[13:3]][2 * ad[2:1] +: 2] <= data[1:0];
            default: bytes[ad[13:3]][ad[2:0]] <= data[0];
        endcase
    endtask

    wire clk_a = CLKAMUX == "INV" ? ~CLKA : CLKA;
    wire clk_b = CLKBMUX == "INV" ? ~CLKB : CLKB;
    wire [35:0] a_changed = changed(ada, DATA_WIDTH_A, adb, DATA_WIDTH_B) & {36{CEB && WEB}};
    wire [35:0] b_changed = changed(adb, DATA_WIDTH_B, ada, DATA_WIDTH_A) & {36{CEA && WEA}};
    reg [35:0] a_read, b_read, a_out, b_out;
    initial begin
        a_read = 0;
        b_read = 0;
        a_out = 0;
        b_out = 0;
    end
    always @(posedge clk_a) begin
        if (CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE"))
            a_read <= word(ada, DATA_WIDTH_A) ^ a_changed;
        if (OCEA) a_out <= a_read;
        if (CEA && WEA) store(ada, DATA_WIDTH_A, {dib, dia});
        if (RSTA) begin
            a_read <= 0;
            a_out <= 0;
        end
    end
    always @(posedge clk_b) begin
        if (CEB && (!WEB || WRITEMODE_B == "READBEFOREWRITE"))
            b_read <= word(adb, DATA_WIDTH_B) ^ b_changed;
        if (OCEB) b_out <= b_read;
        if (CEB && WEB) store(adb, DATA_WIDTH_B, {18'd0, dib});
        if (RSTB) begin
            b_read <= 0;
            b_out <= 0;
        end
    end

    wire unsupported = WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH"
        || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
        || {CSA2, CSA1, CSA0, CSB2, CSB1, CSB0} != 0
        || RESETMODE != "SYNC" && (RSTA || RSTB) || DATA_WIDTH_B == 36 && WEB;
    always @(posedge CLKA or posedge CLKB) if (unsupported) begin
        $display("DP16KD: a mode that this model does not have");
        $stop;
    end

    wire [35:0] a_data = REGMODE_A == "OUTREG" ? a_out : a_read;
    wire [35:0] b_data = REGMODE_B == "OUTREG" ? b_out : b_read;
    // Beside a 36-bit port A, a narrower port B is read as ever; 36 bits take A's pins as well.
    wire [17:0] doa = WIDE ? b_data[17:0] : a_data[17:0];
    wire [17:0] dob = DATA_WIDTH_B == 36 ? b_data[35:18] : b_data[17:0];
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0
    } = doa;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0
    } = dob;
endmodule
