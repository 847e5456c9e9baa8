#include "cgroup/blkio.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cgroup/flat.h"

#define ROWS_MAX 4096

/* Of BFQ with debugging and of CFQ all, of BFQ and of throttling the last two. */
static const struct {
    const char *name, *file;
} kinds[CGROUP_BLKIO_FILES] = {
        {"sectorsRecursive", "sectors_recursive"},
        {"ioServiceTimeRecursive", "io_service_time_recursive"},
        {"ioWaitTimeRecursive", "io_wait_time_recursive"},
        {"ioMergedRecursive", "io_merged_recursive"},
        {"ioQueueRecursive", "io_queued_recursive"},
        {"ioTimeRecursive", "time_recursive"},
        {"ioServicedRecursive", "io_serviced_recursive"},
        {"ioServiceBytesRecursive", "io_service_bytes_recursive"},
};

/* "7:0 Read 4096" or "7:0 4096"; the sum over all devices, "Total 4096", is left out. */
static bool parse_row(struct arena *arena, char *line, struct cgroup_blkio_row *ret)
{
    unsigned major, minor;
    const char *device = strsep(&line, " ");
    const char *word = strsep(&line, " ");
    struct cgroup_blkio_row row = {.op = ""};

    if (!word || sscanf(device, "%u:%u", &major, &minor) != 2)
        return false;
    if (line) {
        row.op = arena_strdup(arena, word);
        word = line;
    }
    row.major = major;
    row.minor = minor;
    if (str_to_u64(word, 10, &row.value) < 0)
        return false;
    *ret = row;
    return true;
}

static void read_file(
        struct arena *arena, const char *dir, const char *file, struct cgroup_blkio_file *ret)
{
    char *rest = cgroup_flat_text(arena, dir, file);
    size_t lines = 0;
    char *line;

    for (const char *at = rest; at && *at; at++)
        lines += *at == '\n';
    if (!lines || lines > ROWS_MAX)
        return;
    ret->rows.items = arena_new_array(arena, struct cgroup_blkio_row, lines + 1);
    while (rest && (line = strsep(&rest, "\n")) && ret->rows.count <= lines)
        if (parse_row(arena, line, &ret->rows.items[ret->rows.count]))
            ret->rows.count++;
}

static void read_family(
        struct arena *arena, const char *dir, const char *start, struct cgroup_blkio_rows *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct cgroup_blkio_file *file = &ret->files[ret->count];
        *file = (struct cgroup_blkio_file){.name = kinds[i].name};
        read_file(arena, dir, arena_printf(arena, "%s%s", start, kinds[i].file), file);
        if (file->rows.count)
            ret->count++;
    }
}

void cgroup_blkio_read(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_blkio_rows *ret)
{
    static const char *const families[] = {"blkio.bfq.", "blkio.", "blkio.throttle."};
    const char *dir = cgroup_saved_v1(saved, CGROUP_BLKIO);

    ret->count = 0;
    for (size_t i = 0; dir && !ret->count && i < ARRAY_SIZE(families); i++)
        read_family(arena, dir, families[i], ret);
}
