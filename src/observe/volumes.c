#include "observe/volumes.h"

#include "engine/volume.h"

int volumes_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    struct volume volume;
    int r = volume_find(engine, name, &volume, err);

    if (r < 0)
        return r;
    struct json_object *json = json_object_new_object();
    json_add_str(json, "Name", volume.name);
    json_add_str(json, "Driver", volume.driver);
    json_add_str(json, "Mountpoint", volume.path);
    json_add_str(json, "CreatedAt", volume.created);
    json_object_object_add(json, "Labels", named_pairs_json(&volume.labels));
    json_object_object_add(json, "Options", named_pairs_json(&volume.options));
    json_add_str(json, "Scope", "local");
    json_object_object_add(json, "Anonymous", json_object_new_boolean(volume.anonymous));
    *ret = json;
    return 0;
}

/* dangling=true: no sandbox uses it. */
static int passes_dangling(
        struct engine *engine, const char *name, const char *value, bool *ret, struct error *err)
{
    struct strv users = {0};
    int r = volume_users(engine, name, &users, err);

    if (r == 0)
        *ret = (users.count == 0) == (str_equal(value, "true") || str_equal(value, "1"));
    return r;
}

static const char *const headings[] = {"Name", "VOLUME NAME", NULL};

const struct named_kind volumes_kind = {
        .filters = "name=TEXT, label=KEY[=VALUE], label!=KEY[=VALUE], driver=local, until=TIME or "
                   "dangling=true",
        .list = {"{{.Driver}}\t{{.Name}}", headings},
        .names = volume_list,
        .row = volumes_inspect,
        .own_filter = "dangling",
        .own_passes = passes_dangling,
};
