// weft_spram on iCE40 UltraPlus: SB_SPRAM256KA of 16K x 16 bits each, WIDTH / 16 side by side and as
// many rows of them as DEPTH asks for. The row is chosen in front of the output register.
module weft_spram #(
    parameter WIDTH = 16,
    parameter DEPTH = 16384,
    parameter GRAIN = 8,
    parameter ADDR_BITS = 14
) (
    input clk,
    input [WIDTH/GRAIN-1:0] w_en,
    input [ADDR_BITS-1:0] w_addr,
    input [WIDTH-1:0] w_data,
    input [ADDR_BITS-1:0] r_addr,
    output reg [WIDTH-1:0] r_data
);
    localparam COLUMNS = (WIDTH + 15) / 16;
    localparam ROWS = (DEPTH + 16383) / 16384;

    wire write = w_en != 0;
    wire [ADDR_BITS-1:0] address = write ? w_addr : r_addr;
    wire [ADDR_BITS+13:0] wide = {14'd0, address};  // the block's 14 bits, and the row above them
    wire [ADDR_BITS-1:0] row = wide[ADDR_BITS+13:14];
    wire [WIDTH+15:0] data_in = {16'd0, w_data};
    wire [16*COLUMNS-1:0] data_out [0:ROWS-1];
    wire [4*COLUMNS-1:0] mask;  // one bit for each four data bits

    genvar i, j;
    generate
        for (i = 0; i < 4 * COLUMNS; i = i + 1) begin : g_mask
            assign mask[i] = 4 * i < WIDTH ? w_en[4 * i < WIDTH ? 4 * i / GRAIN : 0] : 1'b0;
        end
        for (j = 0; j < ROWS; j = j + 1) begin : g_rows
            wire chosen = row == j[ADDR_BITS-1:0];
            for (i = 0; i < COLUMNS; i = i + 1) begin : g_columns
                SB_SPRAM256KA ram (
                    .CLOCK(clk), .ADDRESS(wide[13:0]), .DATAIN(data_in[16*i +: 16]),
                    .MASKWREN(mask[4*i +: 4]), .WREN(write), .CHIPSELECT(chosen),
                    .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1),
                    .DATAOUT(data_out[j][16*i +: 16])
                );
            end
        end
        if (ROWS == 1) begin : g_one
            always @(posedge clk) r_data <= data_out[0][WIDTH-1:0];
        end else begin : g_several
            reg [ADDR_BITS-1:0] row_read;
            always @(posedge clk) begin
                row_read <= row;
                r_data <= data_out[row_read][WIDTH-1:0];
            end
        end
    endgenerate
endmodule
