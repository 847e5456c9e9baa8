/*
 * An arena: memory that is handed out piece by piece and given back all at once. A plan, a parsed
 * configuration and everything they point to live in one.
 *
 * Running out of memory ends the process (abort): Linux overcommits, so a refusal here means that
 * the cap was exceeded, and every input that could ask for much is bounded before it gets here.
 * Not for several threads at once.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *last;
    size_t used;  /* bytes handed out */
    size_t limit; /* bytes that may be handed out; 0: 64 MiB */
};

/* Zeroed memory, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size);
#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_new_array(arena, type, count) ((type *)arena_array((arena), sizeof(type), (count)))

/* Zeroed array; ends the process when size * count overflows. */
void *arena_array(struct arena *arena, size_t size, size_t count);

/* Copies, and text made as by printf(3). */
char *arena_strdup(struct arena *arena, const char *text); /* NULL for NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
void *arena_memdup(struct arena *arena, const void *data, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args);

/*
 * A growing array inside the arena: makes room for one more element behind `count` and returns the
 * (possibly moved) array. `*capacity` belongs to the array and starts at 0.
 */
void *arena_grow(struct arena *arena, void *array, size_t count, size_t *capacity, size_t size);

/* Gives everything back. The arena may be used again. */
void arena_free(struct arena *arena);
#define _cleanup_arena_ __attribute__((cleanup(arena_free)))
