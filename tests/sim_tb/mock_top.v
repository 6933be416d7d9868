// A weft_top without an engine: it returns its input words XOR a constant after a set latency.
// Memory image: 0 words per sample, 1 latency, 2 constant, 3 error to commit:
// 1 offer one word too many, 2 change a word that waits, 3 count one cycle too many.
module weft_top #(parameter K = 4) (
    input clk, input rst,
    input img_valid, input [31:0] img_addr, input [35:0] img_data,
    input in_valid, output in_ready, input [8*K-1:0] in_data,
    input start_valid, output start_ready, output busy,
    output out_valid, input out_ready, output [8*K-1:0] out_data,
    output [31:0] cycles
);
    reg [35:0] control[0:3];
    reg [31:0] table_xor[0:0];
    initial $readmemh("images/table.hex", table_xor);
    initial begin control[0] = 1; control[1] = 1; control[2] = 0; control[3] = 0; end

    localparam FILL = 0, READY = 1, RUN = 2, DRAIN = 3, EXTRA = 4;
    reg [2:0] state = FILL;
    reg [9:0] at = 0;
    reg [31:0] count = 0;
    reg waited = 0;
    reg [8*K-1:0] words[0:1023];

    assign in_ready = state == FILL;
    assign start_ready = state == READY;
    assign busy = state == RUN;
    assign out_valid = state == DRAIN || state == EXTRA;
    assign out_data = words[at] ^ control[2][31:0] ^ table_xor[0] ^ (control[3] == 2 && waited);
    assign cycles = count + (control[3] == 3);

    always @(posedge clk) begin
        waited <= out_valid && !out_ready;
        if (img_valid) control[img_addr[1:0]] <= img_data;
        case (state)
            FILL: if (in_valid) begin
                words[at] <= in_data;
                at <= at + 1;
                if (at + 1 == control[0]) begin state <= READY; at <= 0; end
            end
            READY: if (start_valid) begin state <= RUN; count <= 0; end
            RUN: begin
                count <= count + 1;
                if (count + 1 == control[1]) state <= DRAIN;
            end
            DRAIN: if (out_ready) begin
                at <= at + 1;
                if (at + 1 == control[0]) begin
                    state <= control[3] == 1 ? EXTRA : FILL;
                    at <= 0;
                end
            end
            EXTRA: state <= FILL;
        endcase
        if (rst) begin state <= FILL; at <= 0; end
    end
endmodule
