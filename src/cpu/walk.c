#include "cpu/mmu.h"

#include "cpu/mem.h"

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_U 0x4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX 0x8000000000000000ull
#define PTE_ADDRESS 0x000ffffffffff000ull
#define FAULT_PRESENT 1u
#define FAULT_RESERVED 8u

struct level {
    uint64_t *host; /* the entry in host memory, NULL when outside every slot */
    uint64_t value;
    unsigned bytes;
};

/* How far a walk has come. */
struct progress {
    uint64_t rights; /* the W and U bits common to all entries, NX if any has it */
    struct level level[4];
    unsigned count;
};

static bool read_entry(struct cpu *cpu, uint64_t gpa, unsigned bytes, struct progress *progress)
{
    struct level *level = &progress->level[progress->count++];
    const struct slot *slot = space_find(cpu->config.space, gpa);
    level->bytes = bytes;
    level->host = NULL;
    level->value = 0;
    if (!slot)
        return false;
    level->host = (uint64_t *)(void *)slot_host(slot, gpa);
    level->value = bytes == 8 ? *(volatile any64 *)level->host : *(volatile any32 *)level->host;
    return level->value & PTE_P;
}

static void mark_entry(struct cpu *cpu, const struct level *level, uint64_t bits)
{
    if ((level->value & bits) == bits || !level->host)
        return;
    (void)cpu;
    __atomic_fetch_or((uint8_t *)level->host, (uint8_t)bits, __ATOMIC_SEQ_CST);
}

static void join_rights(struct progress *progress, uint64_t entry)
{
    progress->rights =
            (progress->rights & entry & (PTE_W | PTE_U)) | ((progress->rights | entry) & PTE_NX);
}

static uint64_t reserved_bits(const struct cpu *cpu)
{
    uint64_t bits = PTE_ADDRESS & ~PHYSICAL_MASK;
    return cpu->efer & EFER_NXE ? bits : bits | PTE_NX;
}

/* The supervisor and user rules, vol. 3 of the SDM, 4.6. */
static bool allowed(const struct cpu *cpu, uint64_t rights, unsigned access)
{
    bool user_page = rights & PTE_U, write = access & ACCESS_WRITE;
    if ((access & ACCESS_FETCH) && (rights & PTE_NX))
        return false;
    if (access & ACCESS_USER)
        return user_page && (!write || (rights & PTE_W));
    if (user_page && (access & ACCESS_FETCH))
        return !(cpu->cr4 & CR4_SMEP);
    if (user_page && (cpu->cr4 & CR4_SMAP) && cpu->tlb != cpu->tlbs[TLB_KERNEL_AC].entry)
        return false;
    return !write || (rights & PTE_W) || !(cpu->cr0 & CR0_WP);
}

static uint32_t fault_code(const struct cpu *cpu, unsigned access, uint32_t why)
{
    bool fetch_told = (cpu->efer & EFER_NXE) || (cpu->cr4 & CR4_SMEP);
    return (access & (ACCESS_WRITE | ACCESS_USER)) | why | (fetch_told ? access & ACCESS_FETCH : 0);
}

/* The checks at the leaf, then the accessed and dirty bits. */
static int finish(struct cpu *cpu, uint64_t linear, unsigned access, struct progress *progress,
        uint64_t page_size, struct walk *ret, uint32_t *code)
{
    const struct level *leaf = &progress->level[progress->count - 1];
    if (!allowed(cpu, progress->rights, access)) {
        *code = fault_code(cpu, access, FAULT_PRESENT);
        return -1;
    }
    for (unsigned i = 0; i + 1 < progress->count; i++)
        mark_entry(cpu, &progress->level[i], PTE_A);
    mark_entry(cpu, leaf, access & ACCESS_WRITE ? PTE_A | PTE_D : PTE_A);
    uint64_t frame = leaf->value & PTE_ADDRESS & ~(page_size - 1);
    *ret = (struct walk){
            .gpa = frame | (linear & (page_size - 1)),
            .page_size = page_size,
            .writable = progress->rights & PTE_W,
            .user = progress->rights & PTE_U,
            .executable = !(progress->rights & PTE_NX),
            .dirty = leaf->value & PTE_D,
            .global = (leaf->value & PTE_G) && (cpu->cr4 & CR4_PGE),
    };
    return 0;
}

static int not_present(const struct cpu *cpu, unsigned access, uint32_t *code)
{
    *code = fault_code(cpu, access, 0);
    return -1;
}

static int reserved(const struct cpu *cpu, unsigned access, uint32_t *code)
{
    *code = fault_code(cpu, access, FAULT_PRESENT | FAULT_RESERVED);
    return -1;
}

/* Long mode (4 levels) and PAE (3): 8-byte entries. */
static int walk_long(
        struct cpu *cpu, uint64_t linear, unsigned access, struct walk *ret, uint32_t *code)
{
    bool long_mode = cpu_long_mode(cpu);
    struct progress progress = {.rights = PTE_W | PTE_U};
    uint64_t table = cpu->cr3 & (long_mode ? PTE_ADDRESS : 0xffffffe0ull);
    uint64_t forbidden = reserved_bits(cpu);
    for (int shift = long_mode ? 39 : 30; shift >= 12; shift -= 9) {
        uint64_t index = (linear >> shift) & (!long_mode && shift == 30 ? 3 : 511);
        if (!read_entry(cpu, table + index * 8, 8, &progress))
            return not_present(cpu, access, code);
        uint64_t entry = progress.level[progress.count - 1].value;
        bool pdpte = !long_mode && shift == 30;
        if ((entry & forbidden) || ((entry & PTE_PS) && (shift == 39 || pdpte)))
            return reserved(cpu, access, code);
        if (!pdpte)
            join_rights(&progress, entry);
        uint64_t size = 1ull << shift;
        if (shift > 12 && (entry & PTE_PS)) {
            if (entry & (size - 1) & PTE_ADDRESS & ~0x1000ull)
                return reserved(cpu, access, code);
            return finish(cpu, linear, access, &progress, size, ret, code);
        }
        table = entry & PTE_ADDRESS;
    }
    return finish(cpu, linear, access, &progress, PAGE_BYTES, ret, code);
}

/* 32-bit paging: 2 levels of 4-byte entries, 4 MiB pages with PSE. */
static int walk_32(
        struct cpu *cpu, uint64_t linear, unsigned access, struct walk *ret, uint32_t *code)
{
    struct progress progress = {.rights = PTE_W | PTE_U};
    uint64_t table = cpu->cr3 & 0xfffff000u;
    if (!read_entry(cpu, table + ((linear >> 22) & 1023) * 4, 4, &progress))
        return not_present(cpu, access, code);
    uint64_t entry = progress.level[0].value;
    join_rights(&progress, entry);
    if ((entry & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
        if (entry & 0x200000)
            return reserved(cpu, access, code);
        progress.level[0].value = (entry & 0xffc00fff) | ((entry & 0x1fe000) << 19);
        return finish(cpu, linear, access, &progress, 1u << 22, ret, code);
    }
    if (!read_entry(cpu, (entry & 0xfffff000u) + ((linear >> 12) & 1023) * 4, 4, &progress))
        return not_present(cpu, access, code);
    join_rights(&progress, progress.level[1].value);
    return finish(cpu, linear, access, &progress, PAGE_BYTES, ret, code);
}

int mmu_walk(struct cpu *cpu, uint64_t linear, unsigned access, struct walk *ret, uint32_t *code)
{
    if (!(cpu->cr0 & CR0_PG)) {
        *ret = (struct walk){.gpa = linear & (cpu_long_mode(cpu) ? ~0ull : 0xffffffffull),
                .page_size = PAGE_BYTES,
                .writable = true,
                .user = true,
                .executable = true,
                .dirty = true};
        return 0;
    }
    if (cpu->cr4 & CR4_PAE)
        return walk_long(cpu, linear, access, ret, code);
    return walk_32(cpu, linear, access, ret, code);
}
