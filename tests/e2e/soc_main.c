/* Images (float32, from the file argv[1]) through the core: the example's digit, then all scores. */
#include <stdio.h>
#include <stdlib.h>

#include "soc_access.h"

#include "weft.h"

#define CORE 0x30000000u

int digit(const float *image); /* the example of docs/integration.md */

static uint8_t records[1 << 20];

int main(int argc, char **argv)
{
    float image[WEFT_INPUT_0_BYTES];
    int8_t codes[WEFT_INPUT_0_BYTES], scores[WEFT_OUTPUT_0_BYTES];
    const int8_t *const inputs[] = {codes};
    int8_t *const outputs[] = {scores};
    FILE *const images = argc == 3 ? fopen(argv[1], "rb") : NULL;
    FILE *const upload = argc == 3 ? fopen(argv[2], "rb") : NULL;
    size_t n_bytes;
    unsigned i;

    if (images == NULL || upload == NULL) return 2;
    n_bytes = fread(records, 1, sizeof records, upload);
    if (weft_write_images(CORE, records, n_bytes) != 0) return 3;
    while (fread(image, sizeof image, 1, images) == 1) {
        printf("%d", digit(image));
        for (i = 0; i < WEFT_INPUT_0_BYTES; i++) codes[i] = weft_quantize(weft_input(0), image[i]);
        if (weft_infer(CORE, inputs, outputs, 1000000) != 0) return 4;
        if (WEFT_READ(CORE, WEFT_REG_CYCLES) != WEFT_PREDICTED_CYCLES) return 5;
        for (i = 0; i < WEFT_OUTPUT_0_BYTES; i++)
            printf(" %.9g", (double)weft_dequantize(weft_output(0), scores[i]));
        printf("\n");
    }
    return 0;
}
