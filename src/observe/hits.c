#include "observe/hits.h"

#include <string.h>

#include "base/json.h"
#include "observe/format.h"
#include "observe/table.h"

#define DESCRIPTION_WIDTH 45

int hits_filter_read(const struct strv *filters, struct hits_filter *ret, struct error *err)
{
    const char *text;

    strv_foreach (text, filters) {
        const char *stars = str_after(text, "stars=");
        const char *official = str_after(text, "is-official=");
        const char *automated = str_after(text, "is-automated=");
        const char *word = official ? official : automated;
        bool yes = str_equal(word, "true");
        if (stars && str_to_u64(stars, 10, &ret->stars) == 0)
            continue;
        if (!word || (!yes && !str_equal(word, "false")))
            return error_set(err, EINVAL,
                    "--filter %s: write stars=N, is-official=true or is-automated=true, or false",
                    text);
        *(official ? &ret->official : &ret->automated) = yes;
        *(official ? &ret->asks_official : &ret->asks_automated) = true;
    }
    return 0;
}

static bool is_wanted(const struct hits_filter *filter, const struct image_hit *hit)
{
    return hit->stars >= filter->stars &&
           (!filter->asks_official || hit->official == filter->official) &&
           (!filter->asks_automated || hit->automated == filter->automated);
}

static struct json_object *hit_row(const struct image_hit *hit, bool whole, struct arena *arena)
{
    const char *about = hit->description ? hit->description : "";
    struct json_object *row = json_object_new_object();

    json_add_str(row, "Name", hit->name);
    json_add_str(row, "Description", whole ? about : table_cut(arena, about, DESCRIPTION_WIDTH));
    json_object_object_add(row, "Stars", json_object_new_uint64(hit->stars));
    json_object_object_add(row, "StarCount", json_object_new_uint64(hit->stars));
    json_add_str(row, "IsOfficial", hit->official ? "[OK]" : "");
    json_add_str(row, "IsAutomated", hit->automated ? "[OK]" : "");
    return row;
}

static int print(struct json_object *rows, const char *usual, const struct hits_choice *choice,
        struct arena *arena, FILE *out, struct error *err)
{
    const struct format_list list = {.usual = usual};
    const char *format = str_equal(choice->format, "table") ? NULL : choice->format;

    return format_print(arena, format, &list, rows, out, err);
}

int hits_print(const struct image_hit *hits, size_t count, const struct hits_choice *choice,
        struct arena *arena, FILE *out, struct error *err)
{
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    bool whole = choice->no_trunc || str_equal(choice->format, "json");

    for (size_t i = 0; i < count && json_object_array_length(rows) < choice->most; i++)
        if (is_wanted(&choice->filter, &hits[i]))
            json_object_array_add(rows, hit_row(&hits[i], whole, arena));
    return print(rows, "{{.Name}}\t{{.Description}}\t{{.Stars}}\t{{.IsOfficial}}", choice, arena,
            out, err);
}

int hits_print_tags(const struct strv *tags, const struct hits_choice *choice, struct arena *arena,
        FILE *out, struct error *err)
{
    _cleanup_json_ struct json_object *rows = json_object_new_array();

    for (size_t i = 0; i < tags->count && i < choice->most; i++) {
        const char *whole = tags->words[i];
        const char *colon = strrchr(whole, ':');
        struct json_object *row = json_object_new_object();
        json_add_str(row, "Name", arena_strndup(arena, whole, (size_t)(colon - whole)));
        json_add_str(row, "Tag", colon + 1);
        json_object_array_add(rows, row);
    }
    return print(rows, "{{.Name}}\t{{.Tag}}", choice, arena, out, err);
}
