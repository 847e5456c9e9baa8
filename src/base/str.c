#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>

bool str_starts(const char *text, const char *prefix)
{
    return str_after(text, prefix) != NULL;
}

bool str_is_name(const char *name, size_t max)
{
    size_t length = strlen(name);
    bool good = length > 0 && length <= max && isalnum((unsigned char)name[0]);

    for (size_t i = 0; i < length && good; i++)
        good = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
    return good;
}

bool str_ends(const char *text, const char *suffix)
{
    size_t length = strlen(text);
    size_t end = strlen(suffix);

    return length >= end && memcmp(text + length - end, suffix, end) == 0;
}

/* The length of the character of UTF-8 at the place; 1, with the byte itself, for what is none. */
static size_t read_character(const unsigned char *at, unsigned *ret)
{
    size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 1;
    unsigned character = length > 1 ? at[0] & (0xffU >> (length + 1)) : at[0];

    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            *ret = at[0];
            return 1;
        }
        character = character << 6 | (at[i] & 0x3fU);
    }
    *ret = character;
    return length;
}

static bool is_wild(unsigned character)
{
    static const struct {
        unsigned first, last;
    } ranges[] = {
            {0x01, 0x1f},     /* C0 */
            {0x7f, 0x9f},     /* DEL and C1, a bare byte as well */
            {0x061c, 0x061c}, /* direction: marks, embeddings and overrides, isolates */
            {0x200e, 0x200f},
            {0x2028, 0x202e}, /* with the separators of lines and paragraphs */
            {0x2066, 0x2069},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (character >= ranges[i].first && character <= ranges[i].last)
            return true;
    return false;
}

void str_tame(char *text, const char *keep)
{
    char *to = text;

    for (const char *at = text; *at;) {
        unsigned character;
        size_t length = read_character((const unsigned char *)at, &character);
        if (is_wild(character) && !strchr(keep, *at)) {
            *to++ = '?';
        } else {
            memmove(to, at, length);
            to += length;
        }
        at += length;
    }
    *to = '\0';
}

const char *str_after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return text && strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

int str_to_u64(const char *text, int base, uint64_t *ret)
{
    char *end = NULL;

    if (str_empty(text) || !isxdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (*end || end == text)
        return -EINVAL;
    if (errno == ERANGE)
        return -ERANGE;
    *ret = value;
    return 0;
}

int str_to_i64(const char *text, int64_t *ret)
{
    char *end = NULL;

    if (str_empty(text) || (!isdigit((unsigned char)text[0]) && text[0] != '-'))
        return -EINVAL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || end == text)
        return -EINVAL;
    if (errno == ERANGE)
        return -ERANGE;
    *ret = value;
    return 0;
}

int str_to_u32(const char *text, uint32_t *ret)
{
    uint64_t value;
    int r = str_to_u64(text, 10, &value);

    if (r < 0)
        return r;
    if (value > UINT32_MAX)
        return -ERANGE;
    *ret = (uint32_t)value;
    return 0;
}

int str_to_int(const char *text, int *ret)
{
    int64_t value;
    int r = str_to_i64(text, &value);

    if (r < 0)
        return r;
    if (value < INT32_MIN || value > INT32_MAX)
        return -ERANGE;
    *ret = (int)value;
    return 0;
}

int str_to_double(const char *text, double *ret)
{
    char *end = NULL;

    if (str_empty(text) || isspace((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    double value = strtod(text, &end);
    if (*end || end == text)
        return -EINVAL;
    if (errno == ERANGE)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* The power of 1024 that a suffix names: "", "b", "k", "kb", "KiB" …; -1 if it names none. */
static int size_suffix_power(const char *suffix)
{
    static const char letters[] = "bkmgtp";
    const char *at = *suffix ? strchr(letters, tolower((unsigned char)*suffix)) : letters;

    if (!at || !*at)
        return -1;
    int power = (int)(at - letters);
    if (!*suffix || !suffix[1])
        return power;
    if (power == 0)
        return -1;
    bool long_form = strcasecmp(suffix + 1, "b") == 0 || strcasecmp(suffix + 1, "ib") == 0;
    return long_form ? power : -1;
}

int str_to_bytes(const char *text, uint64_t *ret_bytes, struct error *err)
{
    char *end = NULL;
    double value = -1;
    int power = -1;

    if (!str_empty(text) && isdigit((unsigned char)text[0])) {
        value = strtod(text, &end);
        power = size_suffix_power(end);
    }
    if (power < 0)
        return error_set(err, EINVAL,
                "invalid size \"%s\": write a number with an optional suffix b, k, m, g, t or p",
                text ? text : "");
    uint64_t whole;
    if (!*end && str_to_u64(text, 10, &whole) == 0) { /* exact above 2^53 */
        *ret_bytes = whole;
        return 0;
    }
    for (int i = 0; i < power; i++)
        value *= 1024;
    if (!(value < 18446744073709549568.0))
        return error_set(err, ERANGE, "size \"%s\" is larger than 16 EiB", text);
    *ret_bytes = (uint64_t)value;
    return 0;
}

int str_to_nanoseconds(const char *text, int64_t *ret_ns, struct error *err)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    const char *at = text ? text : "";
    double total = 0;
    double sign = 1;

    if (*at == '-') {
        sign = -1;
        at++;
    }
    if (!*at)
        goto invalid;
    while (*at) {
        char *end = NULL;
        if (!isdigit((unsigned char)*at) && *at != '.')
            goto invalid;
        double value = strtod(at, &end);
        size_t length = strspn(end, "abcdefghijklmnopqrstuvwxyz");
        double factor = length ? 0 : 1e9;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
            if (strlen(units[i].suffix) == length && strncmp(units[i].suffix, end, length) == 0)
                factor = units[i].factor;
        if (end == at || factor == 0)
            goto invalid;
        total += value * factor;
        at = end + length;
    }
    if (total > 9.2e18)
        return error_set(err, ERANGE, "time \"%s\" is longer than 292 years", text);
    *ret_ns = (int64_t)(sign * total);
    return 0;
invalid:
    return error_set(err, EINVAL,
            "invalid time \"%s\": write seconds, or numbers with h, m, s, ms, us or ns",
            text ? text : "");
}

void strv_add(struct arena *arena, struct strv *list, const char *word)
{
    /* one slot more than asked for: the terminating NULL */
    list->words = arena_grow(arena, list->words, list->count + 1, &list->capacity, sizeof(char *));
    list->words[list->count++] = arena_strdup(arena, word);
    list->words[list->count] = NULL;
}

bool strv_contains(const struct strv *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_equal(list->words[i], word))
            return true;
    return false;
}

size_t strv_find_variable(const struct strv *list, const char *entry)
{
    size_t length = strcspn(entry, "=");

    for (size_t i = 0; i < list->count; i++)
        if (strcspn(list->words[i], "=") == length && memcmp(list->words[i], entry, length) == 0)
            return i;
    return list->count;
}

void strv_set_variable(struct arena *arena, struct strv *list, const char *entry)
{
    size_t at = strv_find_variable(list, entry);

    if (at < list->count)
        list->words[at] = arena_strdup(arena, entry);
    else
        strv_add(arena, list, entry);
}

void strv_split(struct arena *arena, struct strv *list, const char *text, char separator)
{
    while (*text) {
        const char *end = strchrnul(text, separator);
        if (end > text)
            strv_add(arena, list, arena_strndup(arena, text, (size_t)(end - text)));
        text = *end ? end + 1 : end;
    }
}

char *strv_join(struct arena *arena, const struct strv *list, const char *separator)
{
    char *text = arena_strdup(arena, "");

    for (size_t i = 0; i < list->count; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? separator : "", list->words[i]);
    return text;
}

#define CLOSEST_MAX 64

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* How many letters are wrong, missing, too many or exchanged with their neighbour (optimal string
 * alignment); words longer than CLOSEST_MAX never match. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][CLOSEST_MAX + 1];
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);

    if (a_length > CLOSEST_MAX || b_length > CLOSEST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *second_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smallest(
                    row[j - 1] + 1, above[j] + 1, above[j - 1] + !same_letter(a[i - 1], b[j - 1]));
            bool exchanged = i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                             same_letter(a[i - 2], b[j - 1]);
            if (exchanged && second_above[j - 2] + 1 < row[j])
                row[j] = second_above[j - 2] + 1;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *str_closest(const char *word, const char *const *candidates, size_t count)
{
    const char *closest = NULL;
    size_t length = strlen(word);
    size_t best = length < 4 ? 1 : length / 3 + 1; /* of three letters, two make another word */

    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < best || (distance == best && !closest)) {
            best = distance;
            closest = candidates[i];
        }
    }
    return closest;
}
