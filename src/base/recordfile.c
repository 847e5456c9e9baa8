#include "base/recordfile.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"

int recordfile_save(
        int dir_fd, const char *path, const struct record *record, const void *from, int kind)
{
    _cleanup_json_ struct json_object *json = record_write(record, from);
    const char *text = kind & RECORDFILE_PRETTY ? json_text_pretty(json) : json_text(json);

    return io_replace_file_at(dir_fd, path, text, strlen(text),
            kind & RECORDFILE_PUBLIC ? 0644 : 0600, kind & RECORDFILE_DURABLE);
}

int recordfile_load(int dir_fd, const char *path, const struct record *record, struct arena *arena,
        void *into, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};

    memset(into, 0, record->size);
    int r = json_parse_file_at(dir_fd, path, &json, err);
    if (r < 0)
        return r;
    record_read(record, json, "", into, &report);
    return record_error(&report, path, err);
}
