/*
 * Guest-physical memory as the CPUs of one machine share it: slots of host memory, which 64-byte
 * lines of it some CPU has decoded as code, and which pages were written.
 *
 * For this folder only; the public part is in cpu.h. A CPU that writes to a line with code tells
 * all the others, which forget what they decoded (posted pages, taken up between blocks).
 */
#pragma once

#include <pthread.h>

#include "cpu/state.h"

struct slot {
    uint64_t gpa, size;
    uint8_t *host;
    unsigned flags;
    _Atomic uint64_t *lines; /* one word for each page, a bit for each 64 bytes: holds code */
    _Atomic uint64_t *dirty; /* one bit for each page; NULL: not tracked */
};

struct cpu_space {
    pthread_mutex_t lock; /* guards the list of CPUs and what is posted to them */
    struct cpu *cpus;
    unsigned slot_count;
    struct slot slots[CPU_SLOTS_MAX];
};

/* The slot that holds the address, NULL if none does. */
const struct slot *space_find(const struct cpu_space *space, uint64_t gpa);

static inline uint8_t *slot_host(const struct slot *slot, uint64_t gpa)
{
    return slot->host + (gpa - slot->gpa);
}

static inline _Atomic uint64_t *slot_lines(const struct slot *slot, uint64_t gpa)
{
    return &slot->lines[(gpa - slot->gpa) >> PAGE_BITS];
}

/* The line bits of `size` bytes at an address, which must not cross the page. */
static inline uint64_t line_mask(uint64_t gpa, unsigned size)
{
    unsigned first = (unsigned)(gpa & 4095) / 64, last = (unsigned)((gpa & 4095) + size - 1) / 64;
    return (~0ull >> (63 - (last - first))) << first;
}

/* Marks the page of this address dirty, if the slot is tracked. */
void slot_mark_dirty(const struct slot *slot, uint64_t gpa);

/* Tells all CPUs but `except` about a page. */
void space_post(struct cpu_space *space, const struct cpu *except, uint64_t gpa, bool protect);

/* A CPU that shares the space is told of pages that others change, from one to the other call. */
void space_add_cpu(struct cpu_space *space, struct cpu *cpu);
void space_remove_cpu(struct cpu_space *space, struct cpu *cpu);
