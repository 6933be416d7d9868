// Self-running test bench around weft_top: clock, stimulus and collection live here, so that the
// host (cocotb, weft.sim_tb.bench) only sets the sizes of a job, raises `request` and waits until
// `done` has the same value. Everything else of a job is in files of the run directory:
//
//   job_<n>.image.hex   {addr[31:0], 28'b0, data[35:0]} per line, read
//   job_<n>.input.hex   in_data, one word per line, all samples one after the other, read
//   job_<n>.output.hex  out_data, one word per line, finished and unfinished samples, written
//   job_<n>.counts.txt  per finished sample: cycles busy_cycles load_cycles read_cycles, written
//
// There is a reset at power-up and after a timeout only: changing the network needs none.
`timescale 1ns / 1ns
/* verilator lint_off WIDTH */

module weft_tb #(
    parameter LANES = 8
);
    localparam WORD = 8 * LANES;

    // -- Set by the host before `request` changes --------------------------------------------
    reg [31:0] request     /* verilator public_flat_rw */ = 0;  // job number + 1
    reg [31:0] image_words /* verilator public_flat_rw */ = 0;
    reg [31:0] samples     /* verilator public_flat_rw */ = 0;
    reg [31:0] in_words    /* verilator public_flat_rw */ = 0;  // per sample
    reg [31:0] out_words   /* verilator public_flat_rw */ = 0;  // per sample
    reg [31:0] max_cycles  /* verilator public_flat_rw */ = 0;  // per sample, load to last output
    reg        stalls      /* verilator public_flat_rw */ = 0;  // random gaps on every stream

    // -- Read by the host when `done` has changed --------------------------------------------
    reg [31:0] done        /* verilator public_flat_rd */ = 0;
    reg        timed_out   /* verilator public_flat_rd */ = 0;
    reg        bad_file    /* verilator public_flat_rd */ = 0;  // missing or too short
    reg [2:0]  stuck       /* verilator public_flat_rd */ = 0;  // stage of a timed-out job
    reg [31:0] sample      /* verilator public_flat_rd */ = 0;  // finished samples
    reg [31:0] accepted    /* verilator public_flat_rd */ = 0;  // input words of this sample
    reg [31:0] received    /* verilator public_flat_rd */ = 0;  // output words of this sample
    reg [31:0] violations  /* verilator public_flat_rd */ = 0;  // cycles that broke out_* rules

    // -- The design --------------------------------------------------------------------------
    reg             clk = 0;
    reg             rst = 1;
    reg             img_valid = 0;
    reg  [31:0]     img_addr = 0;
    reg  [35:0]     img_data = 0;
    reg             in_valid = 0;
    wire            in_ready;
    reg  [WORD-1:0] in_data = 0;
    reg             start_valid = 0;
    wire            start_ready;
    wire            busy;
    wire            out_valid;
    reg             out_ready = 0;
    wire [WORD-1:0] out_data;
    wire [31:0]     cycles;

    weft_top dut (
        .clk(clk), .rst(rst),
        .img_valid(img_valid), .img_addr(img_addr), .img_data(img_data),
        .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .start_valid(start_valid), .start_ready(start_ready), .busy(busy),
        .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data),
        .cycles(cycles)
    );

    initial forever #5 clk = ~clk;

    // -- Stalls: sparse and dense stretches of 32 cycles, the same for every run of a job ------
    reg  [31:0] random = 1;
    reg  [31:0] age = 0;  // cycles since the first offered input word of this sample
    wire        sparse = random[3] & random[14] & random[23];
    wire        dense = random[3] | random[14];
    wire        in_go = !stalls | (age[5] ? sparse : dense);
    wire        out_go = !stalls | (age[5] ? random[9] | random[20] : random[9] & random[20]);

    // -- One job after the other --------------------------------------------------------------
    localparam RESET = 0, IDLE = 1, IMAGE = 2, LOAD = 3, START = 4, RUN = 5, SETTLE = 6;

    reg [2:0]      stage = RESET;
    reg [3:0]      wait_left = 8;  // cycles of RESET and SETTLE
    reg [31:0]     image_left = 0, offered = 0;
    reg [31:0]     run_cycles = 0, busy_cycles = 0, load_cycles = 0, read_cycles = 0;
    reg            held_valid = 0;  // a word was on offer and not taken in the cycle before
    reg [WORD-1:0] held_data = 0;

    integer        image_file, input_file, output_file, counts_file, got;
    reg [511:0]    name;
    reg [95:0]     image_word;
    reg [WORD-1:0] in_word;

    task open_files;
        begin
            $sformat(name, "job_%0d.image.hex", request - 1);
            image_file = $fopen(name, "r");
            $sformat(name, "job_%0d.input.hex", request - 1);
            input_file = $fopen(name, "r");
            $sformat(name, "job_%0d.output.hex", request - 1);
            output_file = $fopen(name, "w");
            $sformat(name, "job_%0d.counts.txt", request - 1);
            counts_file = $fopen(name, "w");
            bad_file <= !image_file | !input_file | !output_file | !counts_file;
        end
    endtask

    task finish_job;
        begin
            $fclose(image_file);
            $fclose(input_file);
            $fclose(output_file);
            $fclose(counts_file);
            done <= request;
        end
    endtask

    task begin_sample;
        begin
            offered <= 0;
            accepted <= 0;
            received <= 0;
            age <= 0;
            run_cycles <= 0;
            busy_cycles <= 0;
            load_cycles <= 0;
            read_cycles <= 0;
            stage <= LOAD;
        end
    endtask

    always @(posedge clk) begin
        random <= {1'b0, random[31:1]} ^ (random[0] ? 32'hEDB88320 : 32'h0);
        if (stage >= LOAD & stage <= RUN) age <= age + (in_valid | accepted != 0);

        if (stage >= LOAD & stage <= RUN & age == max_cycles) begin
            finish_job;
            timed_out <= 1;
            stuck <= stage;
            in_valid <= 0;
            start_valid <= 0;
            out_ready <= 0;
            wait_left <= 8;
            rst <= 1;
            stage <= RESET;
        end else case (stage)
            RESET: begin
                rst <= wait_left != 0;
                wait_left <= wait_left - 1;
                if (wait_left == 0) stage <= IDLE;
            end

            IDLE: if (request != done) begin
                open_files;
                random <= 32'h5EED0001 ^ (in_words << 16) ^ (out_words << 8) ^ (image_words << 1);
                image_left <= image_words;
                sample <= 0;
                timed_out <= 0;
                violations <= 0;
                stage <= IMAGE;
            end

            IMAGE: begin
                img_valid <= 0;
                if (bad_file) begin
                    finish_job;
                    stage <= IDLE;
                end else if (image_left == 0) begin_sample;
                else if (!stalls | random[3]) begin
                    got = $fscanf(image_file, "%h", image_word);
                    bad_file <= got != 1;
                    {img_addr, img_data} <= {image_word[95:64], image_word[35:0]};
                    img_valid <= 1;
                    image_left <= image_left - 1;
                end
            end

            LOAD: begin
                if (in_valid | accepted != 0) load_cycles <= load_cycles + 1;
                if (in_valid & in_ready) begin
                    accepted <= accepted + 1;
                    if (accepted + 1 == in_words) stage <= START;
                end
                if (!in_valid | in_ready) begin
                    in_valid <= 0;
                    if (offered != in_words & in_go) begin
                        got = $fscanf(input_file, "%h", in_word);
                        bad_file <= bad_file | got != 1;
                        in_data <= in_word;
                        in_valid <= 1;
                        offered <= offered + 1;
                    end
                end
            end

            START: if (start_valid & start_ready) begin
                start_valid <= 0;
                out_ready <= out_go;
                stage <= RUN;
            end else if (in_go) start_valid <= 1;

            RUN: begin
                run_cycles <= run_cycles + 1;
                if (busy) busy_cycles <= run_cycles + 1;
                if ((out_valid | read_cycles != 0) & received != out_words)
                    read_cycles <= read_cycles + 1;
                out_ready <= out_go & received != out_words;
                if (out_valid & out_ready) begin
                    $fdisplay(output_file, "%h", out_data);
                    received <= received + 1;
                    if (received + 1 == out_words) out_ready <= 0;
                end
                if (received == out_words & !busy) begin
                    $fdisplay(counts_file, "%0d %0d %0d %0d",
                              cycles, busy_cycles, load_cycles, read_cycles);
                    sample <= sample + 1;
                    if (sample + 1 != samples) begin_sample;
                    else begin
                        wait_left <= 8;
                        stage <= SETTLE;
                    end
                end
            end

            SETTLE: begin  // time for a word too many to show
                wait_left <= wait_left - 1;
                if (wait_left == 0) begin
                    finish_job;
                    stage <= IDLE;
                end
            end

            default: stage <= IDLE;
        endcase

        // The output stream keeps a word until it is taken, and offers none too many.
        held_valid <= out_valid & !out_ready & !rst;
        held_data <= out_data;
        if (held_valid & (!out_valid | out_data != held_data)) violations <= violations + 1;
        else if (!rst & out_valid & (stage != RUN | received == out_words))
            violations <= violations + 1;
    end
endmodule
/* verilator lint_on WIDTH */
