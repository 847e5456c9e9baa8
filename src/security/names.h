/* Tables of the kernel's names for numbers, as configurations spell them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct name {
    const char *name;
    uint64_t value;
};

struct names {
    const char *what; /* for errors: "scheduling policy" */
    const struct name *rows;
    size_t count;
};

#define NAMES(what_, rows_)                                                                        \
    {                                                                                              \
        (what_), (rows_), sizeof(rows_) / sizeof((rows_)[0])                                       \
    }

/* The row of a name, or NULL. */
const struct name *names_find(const struct names *table, const char *word);

/* The value of a name; -EINVAL names the closest one. */
int names_value(const struct names *table, const char *word, uint64_t *ret, struct error *err);

/* All values of a list, or-ed. */
int names_flags(
        const struct names *table, const struct strv *words, uint64_t *ret, struct error *err);

/* The name of a value, or NULL. */
const char *names_name(const struct names *table, uint64_t value);

/* The names of the bits that are set, joined by "|"; "0" for none. */
char *names_join(struct arena *arena, const struct names *table, uint64_t mask);
