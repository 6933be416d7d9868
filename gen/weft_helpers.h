/* How the core is reached: define both before this file is included to change it. */
#ifndef WEFT_READ
#define WEFT_READ(base, offset) (*(volatile const uint32_t *)((base) + (offset)))
#endif
#ifndef WEFT_WRITE
#define WEFT_WRITE(base, offset, value) (*(volatile uint32_t *)((base) + (offset)) = (value))
#endif

/* 0 if the core at `base` is this build's, else -1. */
static inline int weft_check(uintptr_t base)
{
    const uint32_t hash[4] = WEFT_PLAN_HASH;
    uint32_t i;

    if (WEFT_READ(base, WEFT_REG_ID) != WEFT_ID_VALUE) return -1;
    if (WEFT_READ(base, WEFT_REG_VERSION) != WEFT_VERSION_VALUE) return -1;
    for (i = 0; i < 4; i++)
        if (WEFT_READ(base, WEFT_REG_PLAN_HASH_0 + 4 * i) != hash[i]) return -1;
    return 0;
}

/* WEFT_STATE_LOAD, _READY, _RUN or _DONE. */
static inline uint32_t weft_state(uintptr_t base)
{
    return WEFT_READ(base, WEFT_REG_STATUS) & WEFT_STATUS_STATE;
}

/* Back to LOAD, with the given MODE, and nothing pending. Twice: a stream may have sent words. */
static inline void weft_reset(uintptr_t base, uint32_t mode)
{
    WEFT_WRITE(base, WEFT_REG_CONTROL, WEFT_CONTROL_RESET);
    WEFT_WRITE(base, WEFT_REG_MODE, mode);
    WEFT_WRITE(base, WEFT_REG_CONTROL, WEFT_CONTROL_RESET);
    WEFT_WRITE(base, WEFT_REG_ERRORS, UINT32_C(0xffffffff));
    WEFT_WRITE(base, WEFT_REG_IRQ_PENDING, UINT32_C(0xffffffff));
}

/* Code of a stored channel at a stored place. codes: int8 [channels][height][width]. */
static inline int8_t weft_stored_code(
    const weft_tensor *t, const int8_t *codes, uint32_t c, uint32_t y, uint32_t x)
{
    const uint32_t tap = c / t->channels, channel = c % t->channels;
    const int32_t row = (int32_t)(y * t->stride_y + tap / t->fold_cols * t->dilation_y) - t->pad_top;
    const int32_t col = (int32_t)(x * t->stride_x + tap % t->fold_cols * t->dilation_x) - t->pad_left;

    if (row < 0 || row >= (int32_t)t->height || col < 0 || col >= (int32_t)t->width)
        return (int8_t)t->zero_point;
    return codes[(channel * t->height + (uint32_t)row) * t->width + (uint32_t)col];
}

/* Bytes 4 * piece to 4 * piece + 3 of a stored input word, the first one lowest. */
static inline uint32_t weft_input_piece(
    const weft_tensor *t, const int8_t *codes, uint32_t y, uint32_t x, uint32_t word, uint32_t piece)
{
    uint32_t i, value = 0;

    for (i = 0; i < 4; i++) {
        const uint32_t lane = 4 * piece + i, c = word * WEFT_LANES + lane;
        if (lane < WEFT_LANES && c < t->stored_channels)
            value |= (uint32_t)(uint8_t)weft_stored_code(t, codes, c, y, x) << (8 * i);
    }
    return value;
}

/* Send one input's codes, int8 [channels][height][width]; all inputs must go in their order. */
static inline void weft_write_input(uintptr_t base, const weft_tensor *t, const int8_t *codes)
{
    const uint32_t words = (t->stored_channels + WEFT_LANES - 1) / WEFT_LANES;
    uint32_t y, x, word, piece;

    for (y = 0; y < t->stored_height; y++)
        for (x = 0; x < t->stored_width; x++)
            for (word = 0; word < words; word++)
                for (piece = 0; piece < WEFT_PIECES; piece++)
                    WEFT_WRITE(base, WEFT_REG_INPUT_DATA,
                               weft_input_piece(t, codes, y, x, word, piece));
}

/* Take one output's codes, int8 [channels][height][width]; all outputs come in their order. */
static inline void weft_read_output(uintptr_t base, const weft_tensor *t, int8_t *codes)
{
    const uint32_t words = (t->channels + WEFT_LANES - 1) / WEFT_LANES;
    uint32_t y, x, word, piece, i;

    for (y = 0; y < t->height; y++)
        for (x = 0; x < t->width; x++)
            for (word = 0; word < words; word++)
                for (piece = 0; piece < WEFT_PIECES; piece++) {
                    const uint32_t value = WEFT_READ(base, WEFT_REG_OUTPUT_DATA);
                    for (i = 0; i < 4; i++) {
                        const uint32_t lane = 4 * piece + i, c = word * WEFT_LANES + lane;
                        if (lane < WEFT_LANES && c < t->channels) {
                            const int32_t byte = (int32_t)(value >> (8 * i) & 0xffu);
                            codes[(c * t->height + y) * t->width + x] =
                                (int8_t)(byte < 128 ? byte : byte - 256);
                        }
                    }
                }
}

/* Begin the run. Inputs must be complete. */
static inline void weft_start(uintptr_t base)
{
    WEFT_WRITE(base, WEFT_REG_CONTROL, WEFT_CONTROL_START);
}

/* Wait for the run's end: 0, or -1 if it has not come after so many reads of STATUS. */
static inline int weft_wait(uintptr_t base, uint32_t looks)
{
    while (looks-- > 0)
        if (weft_state(base) == WEFT_STATE_DONE) return 0;
    return -1;
}

/* Everything over the bus: 0, or -1 if the run does not end, within so many reads of STATUS, or an
   access was refused. */
static inline int weft_infer(
    uintptr_t base, const int8_t *const inputs[], int8_t *const outputs[], uint32_t looks)
{
    unsigned i;

    weft_reset(base, WEFT_MODE_BUS_INPUT | WEFT_MODE_BUS_OUTPUT);
    for (i = 0; i < WEFT_N_INPUTS; i++) weft_write_input(base, weft_input(i), inputs[i]);
    weft_start(base);
    if (weft_wait(base, looks) != 0) return -1;
    for (i = 0; i < WEFT_N_OUTPUTS; i++) weft_read_output(base, weft_output(i), outputs[i]);
    return WEFT_READ(base, WEFT_REG_ERRORS) == 0 ? 0 : -1;
}

/* Write memory images from the bytes of images/upload.bin; 0, or -1 if one was refused. */
static inline int weft_write_images(uintptr_t base, const uint8_t *records, size_t n_bytes)
{
    uint32_t next = UINT32_C(0xffffffff);

    WEFT_WRITE(base, WEFT_REG_ERRORS, UINT32_C(0xffffffff));
    for (; n_bytes >= 9; n_bytes -= 9, records += 9) {
        const uint32_t low = (uint32_t)records[0] | (uint32_t)records[1] << 8
                           | (uint32_t)records[2] << 16 | (uint32_t)records[3] << 24;
        const uint32_t address = (uint32_t)records[5] | (uint32_t)records[6] << 8
                               | (uint32_t)records[7] << 16 | (uint32_t)records[8] << 24;
        if (address != next) WEFT_WRITE(base, WEFT_REG_IMAGE_ADDRESS, address);
        WEFT_WRITE(base, WEFT_REG_IMAGE_LOW, low);
        WEFT_WRITE(base, WEFT_REG_IMAGE_HIGH, records[4]);
        next = address + 1;
    }
    return WEFT_READ(base, WEFT_REG_ERRORS) == 0 ? 0 : -1;
}

/* ONNX QuantizeLinear: to the nearest code, ties to the even one. */
static inline int8_t weft_quantize(const weft_tensor *t, float value)
{
    const float ratio = value / t->scale;
    int32_t nearest;
    float rest;

    if (!(ratio < (float)(127 - t->zero_point))) return 127;
    if (ratio <= (float)(-128 - t->zero_point)) return -128;
    nearest = (int32_t)ratio;
    rest = ratio - (float)nearest;
    if (rest > 0.5f || (rest == 0.5f && nearest % 2 != 0)) nearest++;
    if (rest < -0.5f || (rest == -0.5f && nearest % 2 != 0)) nearest--;
    return (int8_t)(nearest + t->zero_point);
}

/* ONNX DequantizeLinear. */
static inline float weft_dequantize(const weft_tensor *t, int8_t code)
{
    return (float)(code - t->zero_point) * t->scale;
}
