#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 16384
#define DEFAULT_LIMIT ((size_t)64 << 20)

struct arena_block {
    struct arena_block *previous;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct arena_block *block = calloc(1, sizeof(*block) + room);

    if (!block)
        abort();
    block->previous = arena->last;
    block->size = room;
    arena->last = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t limit = arena->limit ? arena->limit : DEFAULT_LIMIT;
    struct arena_block *block = arena->last;

    if (size > limit || arena->used > limit - size)
        abort();
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!block || block->size - block->used < size)
        block = add_block(arena, size);
    void *result = block->data + block->used;
    block->used += size;
    arena->used += size;
    return result;
}

void *arena_array(struct arena *arena, size_t size, size_t count)
{
    size_t total;

    if (__builtin_mul_overflow(size, count, &total))
        abort();
    return arena_alloc(arena, total);
}

void *arena_memdup(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);

    if (size)
        memcpy(copy, data, size);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);

    memcpy(copy, text, length);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    if (!strchr(format, '%'))
        return arena_strdup(arena, format);
    struct arena_block *block = arena->last;
    size_t room = block ? block->size - block->used : 0;
    char *at = room ? (char *)block->data + block->used : NULL;
    va_list again;

    va_copy(again, args);
    int length = vsnprintf(at, room, format, args);
    if (length < 0)
        abort();
    if ((size_t)length >= room && room)
        memset(at, 0, room); /* what is not given out yet stays zeros */
    char *text = arena_alloc(arena, (size_t)length + 1);
    if (text != at)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void *arena_grow(struct arena *arena, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    size_t room = *capacity ? *capacity * 2 : 8;
    void *moved = arena_array(arena, size, room);
    if (array && count)
        memcpy(moved, array, count * size);
    *capacity = room;
    return moved;
}

void arena_free(struct arena *arena)
{
    struct arena_block *block = arena->last;

    while (block) {
        struct arena_block *previous = block->previous;
        free(block);
        block = previous;
    }
    arena->last = NULL;
    arena->used = 0;
}
