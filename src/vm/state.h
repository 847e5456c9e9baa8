/*
 * The state of a machine's parts as bytes, for snapshots: sections of named fields, each described
 * by a table beside the struct that it belongs to. Fields are found by name, so that one may be
 * added; a part that is not there, or of another size, is an error that says which.
 *
 * A section is its name, an instance number, and its fields; a field its name, its size and its
 * bytes. Numbers are little-endian, as on the only processor that this runs on. What is read is
 * hostile: state_open() checks the framing of all of it once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum state_kind {
    STATE_BYTES, /* numbers of any size, and arrays of them */
    STATE_BOOL,  /* a byte that has to be 0 or 1 */
};

struct state_field {
    const char *name;
    enum state_kind kind;
    size_t offset, size;
};

struct state_table {
    const char *name;
    const struct state_field *fields;
    size_t count;
};

#define STATE_FIELD(type_, member_)                                                                \
    {                                                                                              \
#member_, STATE_BYTES, offsetof(type_, member_), sizeof(((type_ *)0)->member_)             \
    }
#define STATE_FLAG(type_, member_)                                                                 \
    {                                                                                              \
#member_, STATE_BOOL, offsetof(type_, member_), 1                                          \
    }
#define STATE_TABLE(name_, fields_)                                                                \
    {                                                                                              \
        (name_), (fields_), sizeof(fields_) / sizeof((fields_)[0])                                 \
    }

#define STATE_NAME_MAX 255

/* Adds one section. */
void state_put(
        struct buf *out, const struct state_table *table, uint32_t instance, const void *from);

/* Adds a section of bytes of any length, which have a form of their own. */
void state_put_bytes(
        struct buf *out, const char *name, uint32_t instance, const void *data, size_t length);

struct state {
    const uint8_t *data;
    size_t length;
};

/* Looks at the framing of all sections; the bytes stay the caller's. -EBADMSG. */
int state_open(struct state *ret, const void *data, size_t length, struct error *err);

/* Fills a struct from the section of that name and number; on failure it is unchanged. -ENOENT when
 * there is none, -EBADMSG when a field is missing, of another size, or no boolean. */
int state_get(const struct state *state, const struct state_table *table, uint32_t instance,
        void *into, struct error *err);

/* The bytes of a section that state_put_bytes() has made; they stay the state's. Errors as of
 * state_get(). */
int state_get_bytes(const struct state *state, const char *name, uint32_t instance,
        const void **ret, size_t *ret_length, struct error *err);
