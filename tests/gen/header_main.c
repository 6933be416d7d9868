/* What weft.h makes of codes and numbers. stdin: int8 codes of all inputs, one after the other, or
 * with an argument float32 numbers. stdout: the pieces that go to INPUT_DATA, or int8 codes. */
#include <stdint.h>
#include <stdio.h>

static uint32_t read_register(uint32_t offset);
static void write_register(uint32_t offset, uint32_t value);
#define WEFT_READ(base, offset) ((void)(base), read_register(offset))
#define WEFT_WRITE(base, offset, value) ((void)(base), write_register(offset, value))

#include "weft.h"

static uint32_t read_register(uint32_t offset)
{
    return offset;
}

static void write_register(uint32_t offset, uint32_t value)
{
    if (offset == WEFT_REG_INPUT_DATA) fwrite(&value, sizeof value, 1, stdout);
}

int main(int argc, char **argv)
{
    static int8_t codes[1 << 20];
    float value;
    int8_t code;
    unsigned i;

    (void)argv;
    if (argc > 1) {
        while (fread(&value, sizeof value, 1, stdin) == 1) {
            code = weft_quantize(weft_input(0), value);
            fwrite(&code, 1, 1, stdout);
        }
        return 0;
    }
    for (i = 0; i < WEFT_N_INPUTS; i++) {
        const weft_tensor *const t = weft_input(i);
        if (fread(codes, t->channels * t->height * t->width, 1, stdin) != 1) return 1;
        weft_write_input(0, t, codes);
    }
    return 0;
}
