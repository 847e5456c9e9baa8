#include "cgroup/flat.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"

#define FILE_MAX ((size_t)1 << 20)

char *cgroup_flat_text(struct arena *arena, const char *dir, const char *file)
{
    _cleanup_buf_ struct buf text = {.max = FILE_MAX};

    if (!dir || io_read_file_at(AT_FDCWD, path_join(arena, dir, file), &text) < 0)
        return NULL;
    return arena_strdup(arena, buf_text(&text));
}

struct opt_u64 cgroup_flat_number(const char *dir, const char *file)
{
    char path[PATH_MAX], text[64];
    struct opt_u64 number = {0};

    if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= PATH_MAX ||
            io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return number;
    number.set = str_to_u64(text, 10, &number.value) == 0;
    return number;
}

struct opt_u64 cgroup_flat_find(const char *text, const char *name)
{
    size_t length = strlen(name);
    struct opt_u64 number = {0};
    char digits[24];

    for (const char *at = text; at && *at;) {
        if (strncmp(at, name, length) == 0 && at[length] == ' ') {
            at += length + 1;
            size_t count = strcspn(at, "\n");
            if (count >= sizeof(digits))
                return number;
            memcpy(digits, at, count);
            digits[count] = '\0';
            number.set = str_to_u64(digits, 10, &number.value) == 0;
            return number;
        }
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return number;
}

struct opt_u64 cgroup_flat_value(const char *dir, const char *file, const char *name)
{
    _cleanup_arena_ struct arena arena = {0};

    return cgroup_flat_find(cgroup_flat_text(&arena, dir, file), name);
}

/* "some avg10=0.12 avg60=0.00 avg300=0.00 total=123" */
static bool parse_pressure(const char *text, const char *kind, struct cgroup_pressure_line *ret)
{
    const char *line = strstr(text, kind);
    unsigned whole[3], part[3];
    unsigned long long total;

    if (!line ||
            sscanf(line + strlen(kind), " avg10=%u.%u avg60=%u.%u avg300=%u.%u total=%llu",
                    &whole[0], &part[0], &whole[1], &part[1], &whole[2], &part[2], &total) != 7)
        return false;
    ret->avg10 = whole[0] * 100ULL + part[0];
    ret->avg60 = whole[1] * 100ULL + part[1];
    ret->avg300 = whole[2] * 100ULL + part[2];
    ret->total_us = total;
    return true;
}

struct cgroup_pressure *cgroup_flat_pressure(struct arena *arena, const char *dir, const char *file)
{
    const char *text = cgroup_flat_text(arena, dir, file);
    struct cgroup_pressure *pressure = arena_new(arena, struct cgroup_pressure);

    if (!text || !parse_pressure(text, "some", &pressure->some))
        return NULL;
    parse_pressure(text, "full", &pressure->full); /* older kernels have none for the CPU */
    return pressure;
}
