#include "segments.h"

#include <asm/ldt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "silicon.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Kinds as modify_ldt(2) has them. */
enum { KIND_DATA, KIND_EXPAND_DOWN, KIND_CODE, KIND_CONFORMING };

struct local {
    uint32_t base, limit;
    uint8_t kind : 2, wide : 1, pages : 1;
    uint8_t no_write : 1; /* of code: not to be read */
    uint8_t absent : 1;
};

static const struct local locals[LOCAL_ENTRIES] = {
        {CODE_AT, 0xffff, KIND_CODE, 0, 0, 0, 0},
        {CODE_AT, 0xffff, KIND_CODE, 1, 0, 0, 0},
        {DATA_AT, 0xffff, KIND_DATA, 0, 0, 0, 0},
        {DATA_AT, 0xffff, KIND_DATA, 1, 0, 0, 0},
        {DATA_AT, 0x1080, KIND_DATA, 1, 0, 0, 0},
        {DATA_AT, 0xf80, KIND_EXPAND_DOWN, 1, 0, 0, 0},
        {DATA_AT, 0xf80, KIND_EXPAND_DOWN, 0, 0, 0, 0},
        {DATA_AT, 0xffff, KIND_DATA, 1, 0, 1, 0},
        {DATA_AT, 0xffff, KIND_CODE, 1, 0, 1, 0},
        {DATA_AT, 0xffff, KIND_CODE, 1, 0, 0, 0},
        {DATA_AT, 0xffff, KIND_DATA, 1, 0, 0, 1},
        {CODE_AT, 0xffff, KIND_CONFORMING, 1, 0, 0, 1},
        {0, 0xfffff, KIND_DATA, 1, 1, 0, 0},
        {DATA_AT, 0x1080, KIND_DATA, 0, 0, 0, 0},
};

void segments_install(void)
{
    for (unsigned i = 0; i < LOCAL_ENTRIES; i++) {
        const struct local *local = &locals[i];
        struct user_desc entry = {.entry_number = i,
                .base_addr = local->base,
                .limit = local->limit,
                .seg_32bit = local->wide,
                .contents = local->kind,
                .read_exec_only = local->no_write,
                .limit_in_pages = local->pages,
                .seg_not_present = local->absent};
        if (syscall(SYS_modify_ldt, 0x11, &entry, sizeof(entry)) != 0) {
            perror("modify_ldt, which the kernel must have (CONFIG_MODIFY_LDT_SYSCALL)");
            exit(2);
        }
    }
}

/* Accessed as all of the kernel's and of a local table are. */
static uint64_t descriptor_of(const struct local *local)
{
    uint64_t type = 1u | (local->no_write ? 0 : 2u) | (uint64_t)local->kind << 2;
    uint64_t rights = type | 0xf0u;
    if (local->absent)
        rights &= ~0x80ull;
    return (local->limit & 0xffff) | (uint64_t)(local->base & 0xffffff) << 16 | rights << 40 |
           (uint64_t)(local->limit >> 16 & 15) << 48 | (uint64_t)local->wide << 54 |
           (uint64_t)local->pages << 55 | (uint64_t)(local->base >> 24) << 56;
}

void segments_ldt(uint64_t ldt[LOCAL_ENTRIES])
{
    for (unsigned i = 0; i < LOCAL_ENTRIES; i++)
        ldt[i] = descriptor_of(&locals[i]);
}

/* Linux, arch/x86/include/asm/segment.h. The task state and the local table have level 0: what a
 * program asks about them is answered as if they were not there. */
void segments_gdt(uint64_t gdt[GLOBAL_ENTRIES])
{
    static const uint64_t known[] = {0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff,
            0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff};
    for (unsigned i = 0; i < GLOBAL_ENTRIES; i++)
        gdt[i] = i < COUNT(known) ? known[i] : 0;
}

uint64_t segments_descriptor(uint16_t selector)
{
    uint64_t gdt[GLOBAL_ENTRIES];
    unsigned number = selector >> 3;
    if (selector & 4)
        return number < LOCAL_ENTRIES ? descriptor_of(&locals[number]) : 0;
    segments_gdt(gdt);
    return number < GLOBAL_ENTRIES ? gdt[number] : 0;
}

uint64_t segments_base(uint16_t selector)
{
    uint64_t descriptor = segments_descriptor(selector);
    return ((descriptor >> 16) & 0xffffff) | (descriptor >> 56) << 24;
}

#define PICK(random, list) (list)[below(random, COUNT(list))]

uint16_t segments_any(struct random *random)
{
    static const uint16_t others[] = {0, 1, 2, 3, CODE_32, CODE_64, FLAT_DATA, 0x20, 0x28, 0x30,
            0x08, 0x10, 0x18, 0x1b, 0x40, 0x43, 0x53, 0x63, 0x83, 0xfffb, LOCAL(14), 0xffff};
    if (chance(random, 2))
        return (uint16_t)(below(random, LOCAL_ENTRIES) * 8 + (chance(random, 4) ? 4 : 7));
    return PICK(random, others);
}

uint16_t segments_data(struct random *random)
{
    static const uint16_t list[] = {LOCAL_DATA_16, LOCAL_DATA_32, LOCAL_DATA_32, LOCAL(4), LOCAL(5),
            LOCAL(6), LOCAL(7), LOCAL(9), LOCAL(12), LOCAL(13), FLAT_DATA, CODE_32, 0};
    return PICK(random, list);
}

uint16_t segments_stack(struct random *random)
{
    static const uint16_t list[] = {LOCAL_DATA_16, LOCAL_DATA_16, LOCAL_DATA_32, LOCAL(4), LOCAL(5),
            LOCAL(6), LOCAL(12), LOCAL(13), FLAT_DATA};
    return PICK(random, list);
}

struct far_target segments_code(struct random *random, bool only_low)
{
    static const struct far_target list[] = {
            {LOCAL_CODE_16, 16}, {LOCAL_CODE_32, 32}, {CODE_32, 32}, {CODE_64, 64}};
    return list[below(random, only_low ? 2 : COUNT(list))];
}

uint16_t segments_no_code(struct random *random)
{
    static const uint16_t list[] = {0, 1, 3, FLAT_DATA, 0x08, 0x10, 0x18, 0x43, 0x63, 0x83, 0xfffb,
            LOCAL_DATA_16, LOCAL(5), LOCAL(10), LOCAL(11), LOCAL(14)};
    return PICK(random, list);
}
