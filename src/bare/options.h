/*
 * The command line of viv-cpu, as data. Nothing is opened or run here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define BARE_ITEMS_MAX 256u

struct bare_load {
    char *path;
    uint64_t address;
};

struct bare_register {
    char *name;
    uint64_t value[2]; /* low, high: XMM registers have 128 bits */
};

struct bare_bytes {
    uint64_t address;
    uint8_t *data;
    size_t length;
};

struct bare_dump {
    uint64_t address, length;
};

struct bare_options {
    unsigned mode; /* 16, 32, 64 */
    uint64_t entry, max;
    bool has_entry, deliver, json, help;
    struct bare_load loads[BARE_ITEMS_MAX];
    struct bare_register registers[BARE_ITEMS_MAX];
    struct bare_bytes bytes[BARE_ITEMS_MAX];
    struct bare_dump dumps[BARE_ITEMS_MAX];
    size_t load_count, register_count, bytes_count, dump_count;
};

/* Reads the arguments; -EINVAL with a text that names the argument and what it should be. What was
 * read is freed by bare_options_free() in any case. */
int bare_options_parse(int argc, char **argv, struct bare_options *options, struct error *err);
void bare_options_free(struct bare_options *options);
