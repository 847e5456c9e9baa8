/*
 * Records: plain structs described by a table, so that one small reader and one small writer turn
 * them from and into JSON. The OCI configuration, a step's arguments on their way to a guest, a
 * sandbox's state and the description of a machine are all read and written this way.
 *
 * Reading finds all faults at once, each with its JSON pointer (RFC 6901), and warns of unknown
 * members with the closest known name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

/* Optional scalars: absent is not zero. */
struct opt_i64 {
    bool set;
    int64_t value;
};
struct opt_u64 {
    bool set;
    uint64_t value;
};
struct opt_bool {
    bool set;
    bool value;
};

/* A list member: `RECORD_LIST(struct spec_mount) mounts;`. */
#define RECORD_LIST(type)                                                                          \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count;                                                                              \
    }

/* A string-to-string map, in the order of the text. */
struct record_pair {
    const char *key;
    const char *value;
};
struct record_map {
    struct record_pair *items;
    size_t count;
};

enum field_type {
    FIELD_STR,     /* const char * */
    FIELD_BOOL,    /* bool */
    FIELD_I32,     /* int */
    FIELD_U32,     /* uint32_t */
    FIELD_I64,     /* int64_t */
    FIELD_U64,     /* uint64_t */
    FIELD_OPT_I64, /* struct opt_i64 */
    FIELD_OPT_U64, /* struct opt_u64 */
    FIELD_OPT_BOOL,
    FIELD_STRV,    /* struct strv */
    FIELD_MAP,     /* struct record_map */
    FIELD_U32S,    /* RECORD_LIST(uint32_t) */
    FIELD_U64S,    /* RECORD_LIST(uint64_t) */
    FIELD_RECORD,  /* struct, embedded */
    FIELD_POINTER, /* struct *, NULL when absent */
    FIELD_LIST,    /* RECORD_LIST(struct) */
    FIELD_DICT,    /* RECORD_LIST(struct), a JSON object; the key goes to the record's first member,
                      a FIELD_STR of the struct that no table row names */
    FIELD_JSON,    /* struct json_object *, kept as it is (a reference is held) */
};

struct record;

struct field {
    const char *name;
    enum field_type type;
    bool required;
    size_t offset;
    const struct record *record; /* of FIELD_RECORD, FIELD_POINTER, FIELD_LIST, FIELD_DICT */
};

struct record {
    size_t size;
    const struct field *fields;
    size_t count;
};

/* A row of a table: `FIELD(struct spec_root, path, FIELD_STR)`; FIELD_AS when the names differ. */
#define FIELD_AS(type_, member_, name_, kind_)                                                     \
    {                                                                                              \
        (name_), (kind_), false, offsetof(type_, member_), 0                                       \
    }
#define FIELD(type_, member_, kind_) FIELD_AS(type_, member_, #member_, kind_)
#define FIELD_REQUIRED(type_, member_, kind_)                                                      \
    {                                                                                              \
#member_, (kind_), true, offsetof(type_, member_), 0                                       \
    }
#define FIELD_OF(type_, member_, name_, kind_, record_)                                            \
    {                                                                                              \
        (name_), (kind_), false, offsetof(type_, member_), (record_)                               \
    }
#define RECORD(type_, fields_)                                                                     \
    {                                                                                              \
        sizeof(type_), (fields_), sizeof(fields_) / sizeof((fields_)[0])                           \
    }

#define RECORD_FAULTS_MAX 64

/* What reading found. Strings live in the arena. */
struct record_report {
    struct arena *arena;
    struct strv faults;   /* "/linux/resources/memory/limit: expected an integer, found a string" */
    struct strv warnings; /* "/proces: unknown member; did you mean \"process\"?" */
};

/* Adds a fault or a warning; at most RECORD_FAULTS_MAX are kept. */
void record_fault(struct record_report *report, const char *pointer, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void record_warn(struct record_report *report, const char *pointer, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/*
 * Fills `into` (zeroed by the caller) from a JSON object. Strings and lists live in report->arena;
 * FIELD_JSON members borrow from `json`, which has to outlive them. `pointer` is where the object
 * stands in the whole text ("" at the top). Faults are added to the report; nothing is returned,
 * since the caller goes on to find the rest.
 */
void record_read(const struct record *record, struct json_object *json, const char *pointer,
        void *into, struct record_report *report);

/* A new JSON object with every member that is set (non-empty, non-zero or present). */
struct json_object *record_write(const struct record *record, const void *from);
