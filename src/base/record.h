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
#include "base/error.h"
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
struct opt_u32 {
    bool set;
    uint32_t value;
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

/* Room for one more element behind a list, zeroed; the list moves, since it carries no capacity.
 * For lists that stay short. */
#define RECORD_APPEND(arena_, list_)                                                               \
    ((__typeof__((list_)->items))record_append((arena_), (list_), sizeof(*(list_)->items)))
void *record_append(struct arena *arena, void *list, size_t size);

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
    FIELD_OPT_U32, /* struct opt_u32 */
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
    FIELD_IGNORED, /* a known name of no meaning here: neither read nor written, and no warning */
};

enum field_presence {
    FIELD_OPTIONAL, /* written only when set */
    FIELD_MUST,     /* a fault when absent; always written */
    FIELD_ALWAYS,   /* may be absent; always written, as 0, false or "" when it is */
    FIELD_ALIAS,    /* a second name: read, never written */
};

struct record;

struct field {
    const char *name;
    enum field_type type;
    enum field_presence presence;
    size_t offset;
    const struct record *record; /* of FIELD_RECORD, FIELD_POINTER, FIELD_LIST, FIELD_DICT */
};

struct record {
    size_t size;
    const struct field *fields;
    size_t count;
};

/*
 * A row of a table: `FIELD(struct spec_root, path, FIELD_STR)`; FIELD_AS when the names differ,
 * FIELD_OF for members with a table of their own, FIELD_IGNORE for names that mean nothing here.
 */
#define FIELD_ROW(type_, member_, name_, kind_, presence_, record_)                                \
    {                                                                                              \
        (name_), (kind_), (presence_), offsetof(type_, member_), (record_)                         \
    }
#define FIELD_AS(type_, member_, name_, kind_)                                                     \
    FIELD_ROW(type_, member_, name_, kind_, FIELD_OPTIONAL, NULL)
#define FIELD(type_, member_, kind_) FIELD_AS(type_, member_, #member_, kind_)
#define FIELD_REQUIRED(type_, member_, kind_)                                                      \
    FIELD_ROW(type_, member_, #member_, kind_, FIELD_MUST, NULL)
#define FIELD_WRITTEN(type_, member_, kind_)                                                       \
    FIELD_ROW(type_, member_, #member_, kind_, FIELD_ALWAYS, NULL)
#define FIELD_OF(type_, member_, name_, kind_, record_)                                            \
    FIELD_ROW(type_, member_, name_, kind_, FIELD_OPTIONAL, record_)
#define FIELD_IGNORE(name_)                                                                        \
    {                                                                                              \
        (name_), FIELD_IGNORED, FIELD_OPTIONAL, 0, NULL                                            \
    }
#define RECORD(type_, fields_)                                                                     \
    {                                                                                              \
        sizeof(type_), (fields_), sizeof(fields_) / sizeof((fields_)[0])                           \
    }

#define RECORD_FAULTS_MAX 64

/* Caps on what one text may ask for; beyond them there is a fault and the rest is not read. */
#define RECORD_ITEMS_MAX 4096         /* structs or numbers in one list or dictionary */
#define RECORD_WORDS_MAX 65536        /* strings in one list or map */
#define RECORD_MEMORY_MAX (24u << 20) /* bytes in the arena, in all */

/* What reading found. Strings live in the arena. */
struct record_report {
    struct arena *arena;
    struct strv faults;   /* "/linux/resources/memory/limit: expected an integer, found a string" */
    struct strv warnings; /* "/proces: unknown member; did you mean \"process\"?" */

    /* The first so many faults are the reader's: no more is said of those places and of what is
     * above and below them, since it would only follow from that. Set between reading and checks.
     */
    size_t firm;
};

/*
 * A place in the text, as a chain on the stack: its pointer is only put into words when there is
 * something to say about it. The first link has no parent and its name is a whole pointer ("" at
 * the top); every other is a member (name) or an item (name NULL, index).
 */
struct record_place {
    const struct record_place *parent;
    const char *name;
    size_t index;
};
#define RECORD_TOP(pointer_) (&(const struct record_place){NULL, (pointer_), 0})
#define RECORD_MEMBER(place_, name_) (&(const struct record_place){(place_), (name_), 0})
#define RECORD_ITEM(place_, index_) (&(const struct record_place){(place_), NULL, (index_)})

/* The place's JSON pointer (RFC 6901), "/" for the top; in the arena. */
const char *record_pointer(struct arena *arena, const struct record_place *place);

/* Adds a fault or a warning; at most RECORD_FAULTS_MAX of each are kept. */
void record_fault(struct record_report *report, const struct record_place *place,
        const char *format, ...) __attribute__((format(printf, 3, 4)));
void record_warn(struct record_report *report, const struct record_place *place, const char *format,
        ...) __attribute__((format(printf, 3, 4)));

/*
 * 0 when there are no faults. Otherwise -EINVAL with all of them in the error's text, behind the
 * file's name: "config.json: /root: …", a line each when there are several.
 */
int record_error(const struct record_report *report, const char *name, struct error *err);

/* Adds the warnings to a list (NULL: nowhere), the file's name in front; in the report's arena. */
void record_pass_warnings(
        const struct record_report *report, const char *name, struct strv *warnings);

/*
 * Fills `into` (zeroed by the caller) from a JSON object. Strings and lists live in report->arena;
 * FIELD_JSON members borrow from `json`, which has to outlive them. `pointer` is where the object
 * stands in the whole text ("" at the top). Faults are added to the report; nothing is returned,
 * since the caller goes on to find the rest.
 */
void record_read(const struct record *record, struct json_object *json, const char *pointer,
        void *into, struct record_report *report);

/* A new JSON object with every member that is set (non-empty, non-zero or present), and those that
 * are always written. */
struct json_object *record_write(const struct record *record, const void *from);

/* Appends the text of that object, as json_text writes it: for lists of many, where the object
 * itself costs more than all else. */
void record_print(const struct record *record, const void *from, struct buf *into);
