#include "ns/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"

#define RANGES_MAX 64
#define LAST_ID 4294967294u /* 4294967295 is (uid_t)-1, "no change" to many calls */

/* Whether two ranges share an id; 64 bits so that the ends cannot wrap. */
static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
    return (uint64_t)a < (uint64_t)b + b_count && (uint64_t)b < (uint64_t)a + a_count;
}

static int check_line(const struct id_map *map, size_t index, const char *what, struct error *err)
{
    if (map->count == 0)
        return error_set(err, EINVAL, "%s/%zu: a range of 0 ids maps nothing", what, index);
    if ((uint64_t)map->inside + map->count - 1 > LAST_ID ||
            (uint64_t)map->outside + map->count - 1 > LAST_ID)
        return error_set(err, EINVAL, "%s/%zu: %u ids from %u (outside from %u) go beyond %u", what,
                index, map->count, map->inside, map->outside, LAST_ID);
    return 0;
}

static int check_pair(const struct id_maps *maps, size_t first, size_t second, const char *what,
        struct error *err)
{
    const struct id_map *a = &maps->items[first];
    const struct id_map *b = &maps->items[second];

    if (overlap(a->inside, a->count, b->inside, b->count))
        return error_set(err, EINVAL,
                "%s/%zu: inside ids %u-%u overlap with %u-%u of entry %zu; each inside id can be "
                "one outside id only",
                what, second, b->inside, b->inside + b->count - 1, a->inside,
                a->inside + a->count - 1, first);
    if (overlap(a->outside, a->count, b->outside, b->count))
        return error_set(err, EINVAL,
                "%s/%zu: outside ids %u-%u overlap with %u-%u of entry %zu; the kernel allows each "
                "outside id once",
                what, second, b->outside, b->outside + b->count - 1, a->outside,
                a->outside + a->count - 1, first);
    return 0;
}

int idmap_check(const struct id_maps *maps, const char *what, struct error *err)
{
    int r = 0;

    if (maps->count == 0)
        return error_set(err, EINVAL,
                "%s: a new user namespace needs at least one line that maps ids", what);
    if (maps->count > ID_MAPS_MAX)
        return error_set(err, EINVAL, "%s: %zu lines, the kernel takes at most %d", what,
                maps->count, ID_MAPS_MAX);
    for (size_t i = 0; i < maps->count && r == 0; i++) {
        r = check_line(&maps->items[i], i, what, err);
        for (size_t j = 0; j < i && r == 0; j++)
            r = check_pair(maps, j, i, what, err);
    }
    return r;
}

static void add_range(struct arena *arena, struct id_ranges *ranges, uint32_t first, uint32_t count)
{
    if (ranges->count >= RANGES_MAX)
        return;
    ranges->items = arena_grow(
            arena, ranges->items, ranges->count, &ranges->capacity, sizeof(struct id_range));
    ranges->items[ranges->count++] = (struct id_range){first, count};
}

/* One line, NUL-terminated and ours to cut. */
static void read_line(
        struct arena *arena, char *line, const char *user, uid_t uid, struct id_ranges *ranges)
{
    uint32_t number, first, count;
    char *rest = line;
    const char *name = strsep(&rest, ":");
    const char *first_text = strsep(&rest, ":");

    if (!first_text || !rest || str_to_u32(first_text, &first) < 0 || str_to_u32(rest, &count) < 0)
        return;
    bool mine =
            (user && str_equal(name, user)) || (str_to_u32(name, &number) == 0 && number == uid);
    if (mine && count > 0 && (uint64_t)first + count - 1 <= LAST_ID)
        add_range(arena, ranges, first, count);
}

void idmap_read_subids(struct arena *arena, const char *text, const char *user, uid_t uid,
        struct id_ranges *ranges)
{
    char line[512];

    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length < sizeof(line)) {
            memcpy(line, text, length);
            line[length] = '\0';
            read_line(arena, line, user, uid, ranges);
        }
        text += length;
        text += *text == '\n';
    }
}

int idmap_load_subids(struct arena *arena, const char *path, const char *user, uid_t uid,
        struct id_ranges *ranges, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = 1 << 20};
    int r = io_read_file_at(AT_FDCWD, path, &text);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_sys(err, -r, "read %s for the ids that uid %u may map", path, uid);
    idmap_read_subids(arena, buf_text(&text), user, uid, ranges);
    return 0;
}

void idmap_rootless(
        struct arena *arena, uint32_t own_id, const struct id_ranges *ranges, struct id_maps *ret)
{
    uint32_t next = 1;

    ret->items = arena_new_array(arena, struct id_map, ranges->count + 1);
    ret->items[0] = (struct id_map){0, own_id, 1};
    ret->count = 1;
    for (size_t i = 0; i < ranges->count; i++) {
        const struct id_range *range = &ranges->items[i];
        bool again = overlap(own_id, 1, range->first, range->count);
        for (size_t j = 0; j < i; j++)
            again |= overlap(
                    range->first, range->count, ranges->items[j].first, ranges->items[j].count);
        if (again || range->count > LAST_ID - next)
            continue; /* the kernel would refuse the whole map */
        ret->items[ret->count++] = (struct id_map){next, range->first, range->count};
        next += range->count;
    }
}

/* The end of the used range that lies highest of those that the candidate touches; 0: none. */
static uint64_t end_of_clash(uint64_t first, uint32_t count, const struct id_ranges *used)
{
    uint64_t end = 0;

    for (size_t i = 0; i < used->count; i++) {
        const struct id_range *range = &used->items[i];
        uint64_t range_end = (uint64_t)range->first + range->count;
        if (range->first < first + count && first < range_end && range_end > end)
            end = range_end;
    }
    return end;
}

int idmap_find_free(uint32_t base, uint32_t count, const struct id_ranges *used,
        struct id_range *ret, struct error *err)
{
    uint64_t first = base;

    if (count == 0)
        return error_set(err, EINVAL, "a range of 0 ids was asked for");
    while (first + count - 1 <= LAST_ID) {
        uint64_t end = end_of_clash(first, count, used);
        if (end == 0) {
            *ret = (struct id_range){(uint32_t)first, count};
            return 0;
        }
        first = base + (end - base + count - 1) / count * count;
    }
    return error_set(err, ENOSPC,
            "no free range of %u ids from %u on: %zu ranges are in use; remove sandboxes, or give "
            "the ids with --userns or linux.uidMappings",
            count, base, used->count);
}
