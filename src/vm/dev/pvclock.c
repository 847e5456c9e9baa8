#include "vm/dev/pvclock.h"

#include "vm/clock.h"

#define NS_PER_S 1000000000ULL
#define ENABLED 1U
#define FLAG_STABLE 1U

struct system_page {
    uint32_t version; /* odd while it is written */
    uint32_t pad;
    uint64_t tsc;
    uint64_t ns;
    uint32_t multiplier;
    int8_t shift;
    uint8_t flags;
    uint8_t pad2[2];
};

struct wall_page {
    uint32_t version;
    uint32_t seconds;
    uint32_t nanoseconds;
};

/* ns = ((ticks << shift) * multiplier) >> 32, with the shift chosen so that the multiplier keeps
 * all its bits. */
static void scale_of(uint64_t tsc_khz, uint32_t *ret_multiplier, int8_t *ret_shift)
{
    uint64_t hz = tsc_khz * 1000;
    int shift = 0;

    while (hz > NS_PER_S * 2) {
        hz >>= 1;
        shift--;
    }
    while (hz <= NS_PER_S) {
        hz <<= 1;
        shift++;
    }
    hz = shift < 0 ? tsc_khz * 1000 : hz; /* divide by the exact frequency where bits would go */
    __uint128_t scaled = ((__uint128_t)NS_PER_S << 32) / hz;
    *ret_multiplier = (uint32_t)(shift < 0 ? scaled << -shift : scaled);
    *ret_shift = (int8_t)shift;
}

void pvclock_write_system(const struct memory *memory, uint64_t msr, const struct pvclock_now *now)
{
    struct system_page *page = memory_at(memory, msr & ~(uint64_t)ENABLED, sizeof(*page));
    uint32_t multiplier;
    int8_t shift;

    if (!(msr & ENABLED) || !page || msr & 2)
        return;
    scale_of(now->tsc_khz, &multiplier, &shift);
    uint32_t version = (page->version | 1) + 2;
    __atomic_store_n(&page->version, version, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    page->tsc = now->tsc;
    page->ns = now->guest_ns;
    page->multiplier = multiplier;
    page->shift = shift;
    page->flags = FLAG_STABLE;
    __atomic_store_n(&page->version, version + 1, __ATOMIC_RELEASE);
    memory_written(memory, msr & ~(uint64_t)ENABLED, sizeof(*page));
}

void pvclock_write_wall(const struct memory *memory, uint64_t msr, uint64_t guest_ns)
{
    uint64_t started = clock_wall_ns() - guest_ns;
    struct wall_page page = {
            .version = 2,
            .seconds = (uint32_t)(started / NS_PER_S),
            .nanoseconds = (uint32_t)(started % NS_PER_S),
    };

    memory_write(memory, msr, &page, sizeof(page));
}
