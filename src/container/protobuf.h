/*
 * The wire format of Protocol Buffers, as much of it as CRIU's messages need: numbers (varints) and
 * byte strings, which texts and inner messages are (protobuf.dev/programming-guides/encoding).
 * Writing goes to a capped buffer; reading borrows from the message and never goes beyond it. For
 * criu.c and what fills its options.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

void protobuf_add_number(struct buf *into, unsigned field, uint64_t value);
void protobuf_add_text(struct buf *into, unsigned field, const char *text);
void protobuf_add_message(struct buf *into, unsigned field, const struct buf *inner);

struct protobuf_reader {
    const char *at, *end;
};

/* One field: a number, or bytes in the message itself. Those of fixed width are passed over. */
struct protobuf_field {
    unsigned number;
    bool is_number;
    uint64_t value;
    const char *data;
    size_t length;
};

/* The next one: 1; 0 at the end of the message; -EBADMSG. */
int protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret);
