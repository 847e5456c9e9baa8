#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MAX ((size_t)16 << 20)

static bool make_room(struct buf *buf, size_t more)
{
    size_t max = buf->max ? buf->max : DEFAULT_MAX;

    if (buf->overflow || more > max || buf->length > max - more) {
        buf->overflow = true;
        return false;
    }
    size_t need = buf->length + more + 1;
    if (need <= buf->room)
        return true;
    size_t room = buf->room ? buf->room : 64;
    while (room < need)
        room *= 2;
    char *moved = realloc(buf->data, room);
    if (!moved)
        abort();
    buf->data = moved;
    buf->room = room;
    return true;
}

void buf_add(struct buf *buf, const void *data, size_t length)
{
    if (!make_room(buf, length))
        return;
    if (length)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void buf_add_str(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    size_t room = buf->data ? buf->room - buf->length : 0;
    va_list again;

    va_copy(again, args);
    int length = vsnprintf(room ? buf->data + buf->length : NULL, room, format, args);
    if (length < 0 || !make_room(buf, (size_t)length)) {
        buf->overflow = true;
        if (room)
            buf->data[buf->length] = '\0';
    } else {
        if ((size_t)length >= room)
            vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
    buf->overflow = false;
    if (buf->data)
        buf->data[0] = '\0';
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
    char *text = buf->data ? buf->data : strdup("");

    if (!text)
        abort();
    *buf = (struct buf){.max = buf->max};
    return text;
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}
