#include "observe/rows.h"

/* By insertion: they are few, and come nearly sorted. */
void rows_sort(struct json_object *rows, rows_compare_fn compare, const char *by)
{
    size_t count = json_object_array_length(rows);

    for (size_t i = 1; i < count; i++) {
        struct json_object *row = json_object_get(json_object_array_get_idx(rows, i));
        size_t at = i;
        while (at > 0 && compare(json_object_array_get_idx(rows, at - 1), row, by) > 0) {
            json_object_array_put_idx(
                    rows, at, json_object_get(json_object_array_get_idx(rows, at - 1)));
            at--;
        }
        json_object_array_put_idx(rows, at, row);
    }
}
