#include "cpu/watch.h"

#include "cpu/tlb.h"

enum { KIND_EXECUTE, KIND_WRITE, KIND_PORT, KIND_ACCESS };

static bool enabled(const struct cpu *cpu, unsigned i)
{
    return cpu->dr7 & (3ull << (i * 2));
}

static unsigned kind(const struct cpu *cpu, unsigned i)
{
    return (cpu->dr7 >> (16 + i * 4)) & 3;
}

static uint64_t length(const struct cpu *cpu, unsigned i)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};
    return lengths[(cpu->dr7 >> (18 + i * 4)) & 3];
}

void watch_hit(struct cpu *cpu, uint64_t linear, unsigned size, bool write)
{
    for (unsigned i = 0; i < 4; i++) {
        bool wanted = kind(cpu, i) == KIND_ACCESS || (kind(cpu, i) == KIND_WRITE && write);
        uint64_t start = cpu->db[i] & ~(length(cpu, i) - 1);
        if (wanted && enabled(cpu, i) && linear < start + length(cpu, i) && start < linear + size)
            cpu->pending_db |= 1u << i;
    }
}

uint32_t watch_execution(const struct cpu *cpu, uint64_t linear)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < 4; i++)
        if (enabled(cpu, i) && kind(cpu, i) == KIND_EXECUTE && cpu->db[i] == linear)
            bits |= 1u << i;
    return bits;
}

void watch_update(struct cpu *cpu)
{
    bool watching = cpu->dr7 & 0xff;
    if (watching != cpu->watching)
        mmu_flush(cpu);
    cpu->watching = watching;
}
