#include "cpu/space.h"

#include <stdlib.h>

#include "base/cleanup.h"

int cpu_space_new(struct cpu_space **ret, struct error *err)
{
    struct cpu_space *space = calloc(1, sizeof(*space));
    if (!space)
        return error_set(err, ENOMEM, "make a guest memory space: out of memory");
    pthread_mutex_init(&space->lock, NULL);
    *ret = space;
    return 0;
}

static void slot_clear(struct slot *slot)
{
    free((void *)slot->lines);
    free((void *)slot->dirty);
    *slot = (struct slot){0};
}

void cpu_space_free(struct cpu_space *space)
{
    if (!space)
        return;
    for (unsigned i = 0; i < CPU_SLOTS_MAX; i++)
        slot_clear(&space->slots[i]);
    pthread_mutex_destroy(&space->lock);
    free(space);
}

static bool slot_overlaps(const struct cpu_space *space, unsigned self, uint64_t gpa, uint64_t size)
{
    for (unsigned i = 0; i < CPU_SLOTS_MAX; i++) {
        const struct slot *slot = &space->slots[i];
        if (i != self && slot->size && gpa < slot->gpa + slot->size && slot->gpa < gpa + size)
            return true;
    }
    return false;
}

/* Every CPU forgets all translations and code: what a slot holds has changed. */
static void space_forget_all(struct cpu_space *space)
{
    pthread_mutex_lock(&space->lock);
    for (struct cpu *cpu = space->cpus; cpu; cpu = cpu->next_in_space) {
        cpu->posted_count = POSTED_MAX + 1;
        atomic_fetch_or(&cpu->attention, ATTEND_PAGES);
    }
    pthread_mutex_unlock(&space->lock);
}

int cpu_space_map(struct cpu_space *space, unsigned slot, uint64_t gpa, uint64_t size, void *host,
        unsigned flags, struct error *err)
{
    if (slot >= CPU_SLOTS_MAX || (gpa | size | (uintptr_t)host) % PAGE_BYTES || gpa + size < gpa)
        return error_set(err, EINVAL,
                "map guest memory slot %u: number, address or size is out of range", slot);
    if (size && slot_overlaps(space, slot, gpa, size))
        return error_set(err, EEXIST, "map guest memory slot %u at 0x%llx: overlaps another slot",
                slot, (unsigned long long)gpa);
    _cleanup_free_ void *lines = NULL;
    if (size && !(lines = calloc(size / PAGE_BYTES, sizeof(uint64_t))))
        return error_set(err, ENOMEM, "map guest memory slot %u: out of memory", slot);
    struct slot *entry = &space->slots[slot];
    slot_clear(entry);
    if (size)
        *entry = (struct slot){gpa, size, host, flags, take_ptr(lines), NULL};
    if (slot >= space->slot_count)
        space->slot_count = slot + 1;
    space_forget_all(space);
    return 0;
}

const struct slot *space_find(const struct cpu_space *space, uint64_t gpa)
{
    for (unsigned i = 0; i < space->slot_count; i++) {
        const struct slot *slot = &space->slots[i];
        if (gpa - slot->gpa < slot->size)
            return slot;
    }
    return NULL;
}

void slot_mark_dirty(const struct slot *slot, uint64_t gpa)
{
    if (!slot->dirty)
        return;
    uint64_t page = (gpa - slot->gpa) >> PAGE_BITS, bit = 1ull << (page % 64);
    if (!(atomic_load_explicit(&slot->dirty[page / 64], memory_order_relaxed) & bit))
        atomic_fetch_or(&slot->dirty[page / 64], bit);
}

void space_post(struct cpu_space *space, const struct cpu *except, uint64_t gpa, bool protect)
{
    pthread_mutex_lock(&space->lock);
    for (struct cpu *cpu = space->cpus; cpu; cpu = cpu->next_in_space) {
        if (cpu == except)
            continue;
        if (cpu->posted_count < POSTED_MAX)
            cpu->posted[cpu->posted_count] = (struct posted_page){gpa & PAGE_MASK, protect};
        if (cpu->posted_count <= POSTED_MAX)
            cpu->posted_count++;
        atomic_fetch_or(&cpu->attention, ATTEND_PAGES);
    }
    pthread_mutex_unlock(&space->lock);
}

void cpu_space_written(struct cpu_space *space, uint64_t gpa, uint64_t length)
{
    uint64_t end = gpa + length;
    for (uint64_t page = gpa & PAGE_MASK; page < end; page += PAGE_BYTES) {
        const struct slot *slot = space_find(space, page);
        if (!slot)
            continue;
        slot_mark_dirty(slot, page);
        _Atomic uint64_t *lines = slot_lines(slot, page);
        if (atomic_load_explicit(lines, memory_order_relaxed) && atomic_exchange(lines, 0))
            space_post(space, NULL, page, false);
    }
}

static size_t dirty_words(const struct slot *slot)
{
    return (size_t)((slot->size / PAGE_BYTES + 63) / 64);
}

int cpu_space_dirty_enable(struct cpu_space *space, unsigned slot, bool on, struct error *err)
{
    if (slot >= CPU_SLOTS_MAX || !space->slots[slot].size)
        return error_set(err, EINVAL, "track writes to guest memory: slot %u is empty", slot);
    struct slot *entry = &space->slots[slot];
    free((void *)entry->dirty);
    entry->dirty = NULL;
    if (on && !(entry->dirty = calloc(dirty_words(entry), sizeof(uint64_t))))
        return error_set(err, ENOMEM, "track writes to guest memory: out of memory");
    space_forget_all(space);
    return 0;
}

void cpu_space_dirty_fetch(struct cpu_space *space, unsigned slot, uint64_t *bits)
{
    const struct slot *entry = &space->slots[slot];
    if (slot >= CPU_SLOTS_MAX || !entry->dirty)
        return;
    for (size_t i = 0; i < dirty_words(entry); i++)
        bits[i] = atomic_exchange(&entry->dirty[i], 0);
    space_forget_all(space);
}

void space_add_cpu(struct cpu_space *space, struct cpu *cpu)
{
    pthread_mutex_lock(&space->lock);
    cpu->next_in_space = space->cpus;
    space->cpus = cpu;
    pthread_mutex_unlock(&space->lock);
}

void space_remove_cpu(struct cpu_space *space, struct cpu *cpu)
{
    pthread_mutex_lock(&space->lock);
    for (struct cpu **link = &space->cpus; *link; link = &(*link)->next_in_space) {
        if (*link == cpu) {
            *link = cpu->next_in_space;
            break;
        }
    }
    pthread_mutex_unlock(&space->lock);
}
