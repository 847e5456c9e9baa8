#include "cpu/undefined.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cpu/fault.h"

#define NAME_MAX_BYTES 16
#define NAMES_MAX 256

/* All encodings seen by any CPU of this process; names are never given back. */
static struct {
    uint64_t key;
    char name[NAME_MAX_BYTES];
} names[NAMES_MAX];
static unsigned name_count;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static void write_name(char *name, uint64_t key)
{
    static const char *const prefixes[] = {"", "", "66", "f3", "f2"};
    static const char *const maps[] = {"", "0f", "0f38", "0f3a"};
    unsigned prefix = (key >> 8) & 255, map = (key >> 16) & 255;
    snprintf(name, NAME_MAX_BYTES, "%s%s%s%02x", key >> 24 ? "vex." : "", prefixes[prefix],
            maps[map], (unsigned)(key & 255));
}

static const char *name_of(uint64_t key)
{
    const char *found = "other";
    pthread_mutex_lock(&names_lock);
    unsigned i = 0;
    while (i < name_count && names[i].key != key)
        i++;
    if (i == name_count && name_count < NAMES_MAX) {
        names[i].key = key;
        write_name(names[i].name, key);
        name_count++;
    }
    if (i < name_count)
        found = names[i].name;
    pthread_mutex_unlock(&names_lock);
    return found;
}

static void count(struct cpu *cpu, const char *name)
{
    for (unsigned i = 0; i < CPU_UNKNOWN_MAX; i++) {
        struct cpu_unknown *entry = &cpu->unknown[i];
        if (!entry->name)
            entry->name = name;
        if (entry->name == name) {
            entry->count++;
            return;
        }
    }
}

const struct op *op_undefined(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    count(cpu, name_of(op->imm));
    cpu_fault(cpu, VEC_UD);
}

const struct op *op_too_long(struct cpu *cpu, const struct op *op)
{
    cpu->op = op;
    cpu_fault_code(cpu, VEC_GP, 0);
}

size_t cpu_get_unknown(const struct cpu *cpu, struct cpu_unknown *list, size_t max)
{
    size_t found = 0;
    for (; found < CPU_UNKNOWN_MAX && cpu->unknown[found].name; found++)
        if (found < max)
            list[found] = cpu->unknown[found];
    return found;
}
