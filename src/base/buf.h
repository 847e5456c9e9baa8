/*
 * A growing byte buffer with a cap from birth. Once the cap is hit the buffer remembers it
 * (`overflow`) and ignores what follows, so that a writer checks once, at the end.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* always NUL-terminated once something was added */
    size_t length;
    size_t room;
    size_t max; /* bytes; 0: 16 MiB */
    bool overflow;
};

/* Adding. What would go beyond `max` is dropped whole, and `overflow` tells. */
void buf_add(struct buf *buf, const void *data, size_t length);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args);
void buf_clear(struct buf *buf);          /* keeps the memory */
const char *buf_text(const struct buf *); /* never NULL */
char *buf_take(struct buf *buf);          /* the text, malloc'ed; the buffer is empty again */
void buf_free(struct buf *buf);
#define _cleanup_buf_ __attribute__((cleanup(buf_free)))
