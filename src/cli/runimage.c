#include "cli/runimage.h"

static void read_words(
        struct arena *arena, struct json_object *from, const char *name, struct strv *ret)
{
    struct json_object *array = json_get(from, name);
    size_t count =
            json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *word = json_object_array_get_idx(array, i);
        if (json_object_is_type(word, json_type_string))
            strv_add(arena, ret, json_object_get_string(word));
    }
}

/* The names of an object's members: a set, as Go writes it. */
static void read_names(
        struct arena *arena, struct json_object *from, const char *name, struct strv *ret)
{
    struct json_object *object = json_get(from, name);

    if (!json_object_is_type(object, json_type_object))
        return;
    json_object_object_foreach(object, key, value)
    {
        (void)value;
        strv_add(arena, ret, key);
    }
}

static void read_labels(struct arena *arena, struct json_object *from, struct record_map *ret)
{
    struct json_object *object = json_get(from, "Labels");

    if (!json_object_is_type(object, json_type_object))
        return;
    json_object_object_foreach(object, key, value)
    {
        if (!json_object_is_type(value, json_type_string))
            continue;
        struct record_pair *pair = RECORD_APPEND(arena, ret);
        pair->key = arena_strdup(arena, key);
        pair->value = arena_strdup(arena, json_object_get_string(value));
    }
}

static int64_t read_number(struct json_object *from, const char *name)
{
    struct json_object *value = json_get(from, name);

    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

static void read_health(struct arena *arena, struct json_object *config, struct run_health *ret)
{
    struct json_object *from = json_get(config, "Healthcheck");

    if (!json_object_is_type(from, json_type_object))
        return;
    read_words(arena, from, "Test", &ret->test);
    ret->interval = read_number(from, "Interval");
    ret->timeout = read_number(from, "Timeout");
    ret->start_period = read_number(from, "StartPeriod");
    ret->start_interval = read_number(from, "StartInterval");
    ret->retries = read_number(from, "Retries");
}

static const char *read_text(struct arena *arena, struct json_object *from, const char *name)
{
    const char *text = json_get_str(from, name);

    return str_empty(text) ? NULL : arena_strdup(arena, text);
}

void run_image_read(struct arena *arena, struct json_object *config, struct run_image *ret)
{
    *ret = (struct run_image){0};
    if (!json_object_is_type(config, json_type_object))
        return;
    read_words(arena, config, "Entrypoint", &ret->entrypoint);
    read_words(arena, config, "Cmd", &ret->command);
    read_words(arena, config, "Env", &ret->env);
    read_names(arena, config, "Volumes", &ret->volumes);
    read_names(arena, config, "ExposedPorts", &ret->exposed);
    read_labels(arena, config, &ret->labels);
    read_health(arena, config, &ret->health);
    ret->workdir = read_text(arena, config, "WorkingDir");
    ret->user = read_text(arena, config, "User");
    ret->stop_signal = read_text(arena, config, "StopSignal");
}
