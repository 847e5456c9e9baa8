/* The decoder on any bytes, in all modes: it reads no further than it may, and what it returns
 * makes sense. The first byte says how many of the others are there. */
#include <stdlib.h>
#include <string.h>

#include "cpu/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned available = data[0] % 20;
    if (available > size - 1)
        available = (unsigned)(size - 1);
    uint8_t *bytes = malloc(available + !available); /* exact, so that sanitizers see overruns */
    memcpy(bytes, data + 1, available);
    for (unsigned mode = MODE_16; mode <= MODE_64; mode++) {
        struct op op;
        struct decoded decoded;
        unsigned length = cpu_decode(bytes, available, (enum cpu_mode)mode, &op, &decoded);
        if (length > available && !decoded.too_long)
            abort();
        if (length && (length > 15 || !op.fn || op.base > REG_PAGE * 8 || op.index > REG_ZERO * 8))
            abort();
    }
    free(bytes);
    return 0;
}
