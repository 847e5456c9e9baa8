/* What the fuzzers of the specification's documents share: what is accepted is written out, and
 * read again it gives the same text. Only for tests/fuzz/spec-*.c. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/record.h"

typedef int spec_document_load(const char *text, size_t length, const char *name,
        struct arena *arena, void *ret, struct strv *warnings, struct error *err);

static inline int spec_document_fuzz(
        const uint8_t *data, size_t size, const struct record *record, spec_document_load *load)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct strv warnings = {0};
    void *first = arena_alloc(&arena, record->size);
    void *second = arena_alloc(&arena, record->size);

    int r = load((const char *)data, size, "input", &arena, first, &warnings, &err);
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    if (r < 0)
        return 0;
    _cleanup_json_ struct json_object *written = record_write(record, first);
    const char *text = json_text(written);
    if (load(text, strlen(text), "output", &arena, second, &warnings, &err) < 0)
        abort();
    _cleanup_json_ struct json_object *again = record_write(record, second);
    if (strcmp(text, json_text(again)) != 0)
        abort();
    return 0;
}
