/* Strings: tests, numbers from text, lists of words. Nothing here allocates unless it says so. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"

static inline bool str_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool str_empty(const char *text)
{
    return !text || !*text;
}

/* Whether the text begins, or ends, so. */
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);

/* Letters, digits, "_.-", a letter or digit first, at most `max` of them: what Docker and Podman
 * take as a name, and a file's name too. */
bool str_is_name(const char *name, size_t max);

/* Takes a text's power over a terminal and over the reader away, in place: control characters, C1's
 * too, and the marks that change the direction of writing become "?". Those in `keep`, as "\n\t",
 * stay. For what sandboxes, images and registries call themselves. */
void str_tame(char *text, const char *keep);

/* What follows the prefix, or NULL if the text does not start with it. */
const char *str_after(const char *text, const char *prefix);

/* Whole-text numbers, decimal unless a base is given; -EINVAL for anything else (sign, blanks,
 * rest), -ERANGE when it does not fit. The output is written only on success. */
int str_to_u64(const char *text, int base, uint64_t *ret);
int str_to_i64(const char *text, int64_t *ret);
int str_to_u32(const char *text, uint32_t *ret);
int str_to_int(const char *text, int *ret);
int str_to_double(const char *text, double *ret);

/* Bytes with Docker's suffixes b k m g t p (and KiB, MB …: all powers of 1024): "64m", "1.5g". */
int str_to_bytes(const char *text, uint64_t *ret_bytes, struct error *err);

/* A time with Go's suffixes, "1m30s", "250ms"; a bare number is seconds. In nanoseconds. */
int str_to_nanoseconds(const char *text, int64_t *ret_ns, struct error *err);

/* A list of words; `words` is always NULL-terminated once something was added. */
struct strv {
    char **words;
    size_t count;
    size_t capacity;
};

/* Adding a word; whether one is there; the parts of a text; the words as one text. */
void strv_add(struct arena *arena, struct strv *list, const char *word); /* copies the word */
bool strv_contains(const struct strv *list, const char *word);
void strv_split(struct arena *arena, struct strv *list, const char *text, char separator);
char *strv_join(struct arena *arena, const struct strv *list, const char *separator);

/* A list of variables, "NAME=VALUE" or "NAME". Where that of an entry is, or the list's count;
 * setting one, which keeps its place if it is there already. */
size_t strv_find_variable(const struct strv *list, const char *entry);
void strv_set_variable(struct arena *arena, struct strv *list, const char *entry);

#define strv_foreach(word, list)                                                                   \
    for (size_t word##_index_ = 0;                                                                 \
            word##_index_ < (list)->count && ((word) = (list)->words[word##_index_], true);        \
            word##_index_++)

/* The candidate closest to the word by edit distance, at most a third of its length and one letter
 * away (of short words one letter), for "did you mean"; NULL if none. */
const char *str_closest(const char *word, const char *const *candidates, size_t count);
