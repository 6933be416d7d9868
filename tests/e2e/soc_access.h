/* How weft.h reaches the simulated core. */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
uint32_t bus_read(uintptr_t address);
void bus_write(uintptr_t address, uint32_t value);
#ifdef __cplusplus
}
#endif

#define WEFT_READ(base, offset) bus_read((base) + (offset))
#define WEFT_WRITE(base, offset, value) bus_write((base) + (offset), (value))
