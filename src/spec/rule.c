#include "spec/rule.h"

#include <ctype.h>
#include <inttypes.h>

/* linux/user_namespace.h: UID_GID_MAP_MAX_EXTENTS */
#define ID_LINES_MAX 340
#define WORDS_SHOWN 9

/* "a, b or c" */
static const char *list_words(struct arena *arena, const struct spec_words *words)
{
    const char *text = words->words[0];

    for (size_t i = 1; i < words->count; i++)
        text = arena_printf(
                arena, "%s%s%s", text, i + 1 < words->count ? ", " : " or ", words->words[i]);
    return text;
}

bool rule_one_of(struct record_report *report, const struct record_place *place, const char *value,
        const struct spec_words *words, const char *what)
{
    if (!value || spec_words_have(words, value)) /* a missing one was told by the reader */
        return true;
    const char *closest = strlen(value) > 2 ? spec_words_closest(words, value) : NULL;
    if (closest)
        record_fault(
                report, place, "unknown %s \"%.64s\"; did you mean \"%s\"?", what, value, closest);
    else if (words->count <= WORDS_SHOWN)
        record_fault(report, place, "unknown %s \"%.64s\": write %s", what, value,
                list_words(report->arena, words));
    else
        record_fault(report, place, "unknown %s \"%.64s\"", what, value);
    return false;
}

void rule_all_of(struct record_report *report, const struct record_place *place,
        const struct strv *values, const struct spec_words *words, const char *what)
{
    for (size_t i = 0; i < values->count; i++)
        rule_one_of(report, RECORD_ITEM(place, i), values->words[i], words, what);
}

bool rule_absolute(struct record_report *report, const struct record_place *place, const char *path)
{
    if (path && path[0] == '/')
        return true;
    if (str_empty(path))
        record_fault(report, place, "the path is empty: write an absolute one");
    else
        record_fault(
                report, place, "the path \"%.256s\" is not absolute: start it with \"/\"", path);
    return false;
}

bool rule_range(struct record_report *report, const struct record_place *place, int64_t value,
        int64_t min, int64_t max, const char *unit)
{
    if (value >= min && value <= max)
        return true;
    record_fault(report, place, "%" PRId64 "%s is not between %" PRId64 " and %" PRId64, value,
            unit, min, max);
    return false;
}

/* One "3" or "0-3"; returns what follows, NULL when it is neither. */
static const char *skip_range(const char *text)
{
    unsigned long bounds[2] = {0, 0};

    for (int i = 0; i < 2; i++) {
        if (!isdigit((unsigned char)*text))
            return NULL;
        char *end;
        bounds[i] = strtoul(text, &end, 10);
        text = end;
        if (i == 0 && *text != '-')
            return bounds[0] < 65536 ? text : NULL;
        text += i == 0;
    }
    return bounds[0] <= bounds[1] && bounds[1] < 65536 ? text : NULL;
}

bool rule_number_list(
        struct record_report *report, const struct record_place *place, const char *text)
{
    const char *at = text;

    while (at && *at) {
        at += strspn(at, " \n");
        if (!*at)
            break;
        at = skip_range(at);
        if (!at || !memchr(", \n", *at, 4)) {
            record_fault(report, place,
                    "\"%.64s\" is not a list of numbers: write it as in \"0-3,7\"", text);
            return false;
        }
        at += *at == ',';
    }
    return true;
}

bool rule_interface(
        struct record_report *report, const struct record_place *place, const char *name)
{
    size_t length = strlen(name);
    bool good = length > 0 && length <= RULE_INTERFACE_MAX && !str_equal(name, ".") &&
                !str_equal(name, "..");

    for (size_t i = 0; i < length && good; i++)
        good = name[i] != '/' && name[i] != ':' && !isspace((unsigned char)name[i]);
    if (!good)
        record_fault(report, place,
                "\"%.64s\" is not a network interface's name: write 1 to %d characters without "
                "\"/\", \":\" and blanks",
                name, RULE_INTERFACE_MAX);
    return good;
}

static bool ranges_overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
    return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

static void check_one_mapping(struct record_report *report, const struct record_place *place,
        const struct spec_id_mapping *mapping)
{
    if (mapping->size == 0)
        record_fault(report, RECORD_MEMBER(place, "size"),
                "the range is empty: write how many ids it has");
    if ((uint64_t)mapping->containerID + mapping->size > UINT32_MAX)
        record_fault(report, RECORD_MEMBER(place, "containerID"),
                "%u and the %u ids from there on go beyond the last id, %u", mapping->containerID,
                mapping->size, UINT32_MAX - 1);
    if ((uint64_t)mapping->hostID + mapping->size > UINT32_MAX)
        record_fault(report, RECORD_MEMBER(place, "hostID"),
                "%u and the %u ids from there on go beyond the last id, %u", mapping->hostID,
                mapping->size, UINT32_MAX - 1);
}

static void check_overlap(struct record_report *report, const struct record_place *place,
        const struct spec_id_mapping *mapping, const struct spec_id_mapping *before, size_t number)
{
    if (ranges_overlap(mapping->containerID, mapping->size, before->containerID, before->size))
        record_fault(report, RECORD_MEMBER(place, "containerID"),
                "ids %u to %u overlap those of entry %zu, %u to %u: give each id once",
                mapping->containerID, mapping->containerID + mapping->size - 1, number,
                before->containerID, before->containerID + before->size - 1);
    if (ranges_overlap(mapping->hostID, mapping->size, before->hostID, before->size))
        record_fault(report, RECORD_MEMBER(place, "hostID"),
                "ids %u to %u overlap those of entry %zu, %u to %u: give each id once",
                mapping->hostID, mapping->hostID + mapping->size - 1, number, before->hostID,
                before->hostID + before->size - 1);
}

void rule_id_mappings(struct record_report *report, const struct record_place *place,
        const struct spec_id_mappings *list)
{
    if (list->count > ID_LINES_MAX) {
        record_fault(report, place, "%zu ranges, but the kernel takes at most %d: join some",
                list->count, ID_LINES_MAX);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        check_one_mapping(report, RECORD_ITEM(place, i), &list->items[i]);
        for (size_t j = 0; j < i; j++)
            check_overlap(report, RECORD_ITEM(place, i), &list->items[i], &list->items[j], j);
    }
}

bool rule_path_escapes(const char *path)
{
    int depth = 0;

    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && memcmp(path, "..", 2) == 0)
            depth--;
        else if (length > 0 && !(length == 1 && *path == '.'))
            depth++;
        if (depth < 0)
            return true;
        path += length;
        path += *path == '/';
    }
    return false;
}
