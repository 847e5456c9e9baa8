/*
 * The one JSON reader, on top of json-c: strict, one value per text, capped in size and depth,
 * errors with line and column. Values are json-c's own objects; a name here only wraps what callers
 * would otherwise repeat. Writing uses json-c directly and json_text().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/error.h"

#define JSON_SIZE_MAX ((size_t)16 << 20)
#define JSON_DEPTH_MAX 64

/*
 * Parses the text. `name` (a file's name) opens the error's text: "config.json:3:14: …".
 * `*ret` belongs to the caller: json_object_put(), or _cleanup_json_.
 */
int json_parse(const char *text, size_t length, const char *name, struct json_object **ret,
        struct error *err);

/* Reads and parses a file relative to a directory. */
int json_parse_file_at(int dirfd, const char *path, struct json_object **ret, struct error *err);

/* A member of an object by key, NULL if there is none, if it is null, or if it is no object. */
struct json_object *json_get(struct json_object *object, const char *key);

/* A member that is a string; NULL if it is not one. Belongs to the object. */
const char *json_get_str(struct json_object *object, const char *key);

/* A member that is an integer or a boolean, or the fallback. */
int64_t json_get_int(struct json_object *object, const char *key, int64_t fallback);
bool json_get_bool(struct json_object *object, const char *key, bool fallback);

/* Adds a string member, unless the value is NULL. */
void json_add_str(struct json_object *object, const char *key, const char *value);

/* Compact text of the value, slashes not escaped; belongs to the object. */
const char *json_text(struct json_object *object);
const char *json_text_pretty(struct json_object *object);

/* Appends a text as a JSON string, as json_text writes it. */
void json_quote(const char *text, struct buf *into);

static inline void cleanup_json(struct json_object **object)
{
    if (*object)
        json_object_put(*object);
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))
