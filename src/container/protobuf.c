#include "container/protobuf.h"

#include <errno.h>
#include <string.h>

#define FIELD_MAX 0x1fffffff
#define VARINT_BITS 64

enum wire { WIRE_NUMBER = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void add_varint(struct buf *into, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        buf_add_char(into, (char)((value & 0x7f) | 0x80));
    buf_add_char(into, (char)value);
}

static void add_key(struct buf *into, unsigned field, enum wire wire)
{
    add_varint(into, (uint64_t)field << 3 | wire);
}

static void add_bytes(struct buf *into, unsigned field, const char *data, size_t length)
{
    add_key(into, field, WIRE_BYTES);
    add_varint(into, length);
    buf_add(into, data, length);
}

void protobuf_add_number(struct buf *into, unsigned field, uint64_t value)
{
    add_key(into, field, WIRE_NUMBER);
    add_varint(into, value);
}

void protobuf_add_text(struct buf *into, unsigned field, const char *text)
{
    add_bytes(into, field, text, strlen(text));
}

/* An inner message that outgrew its cap makes the outer one as unfit. */
void protobuf_add_message(struct buf *into, unsigned field, const struct buf *inner)
{
    add_bytes(into, field, buf_text(inner), inner->length);
    into->overflow = into->overflow || inner->overflow;
}

static bool take_varint(struct protobuf_reader *reader, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < VARINT_BITS && reader->at < reader->end; shift += 7) {
        unsigned char byte = (unsigned char)*reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct protobuf_reader *reader, uint64_t length, struct protobuf_field *ret)
{
    if (length > (uint64_t)(reader->end - reader->at))
        return false;
    ret->data = reader->at;
    ret->length = (size_t)length;
    reader->at += length;
    return true;
}

static bool take_value(struct protobuf_reader *reader, unsigned wire, struct protobuf_field *ret)
{
    uint64_t length;

    switch (wire) {
    case WIRE_NUMBER:
        ret->is_number = true;
        return take_varint(reader, &ret->value);
    case WIRE_BYTES:
        return take_varint(reader, &length) && take_bytes(reader, length, ret);
    case WIRE_FIXED64:
        return take_bytes(reader, sizeof(uint64_t), ret);
    case WIRE_FIXED32:
        return take_bytes(reader, sizeof(uint32_t), ret);
    default:
        return false;
    }
}

int protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret)
{
    struct protobuf_field field = {0};
    uint64_t key;

    if (reader->at == reader->end)
        return 0;
    if (!take_varint(reader, &key) || key >> 3 == 0 || key >> 3 > FIELD_MAX)
        return -EBADMSG;
    field.number = (unsigned)(key >> 3);
    if (!take_value(reader, (unsigned)(key & 7), &field))
        return -EBADMSG;
    *ret = field;
    return 1;
}
