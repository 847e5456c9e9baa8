#include "container/update.h"

#include "base/io.h"
#include "cgroup/group.h"
#include "container/build_parts.h"

/* Members of `from` replace those of `into`, object by object. */
static void merge(struct json_object *into, struct json_object *from)
{
    json_object_object_foreach(from, key, value)
    {
        struct json_object *old = json_get(into, key);
        if (old && json_object_is_type(old, json_type_object) &&
                json_object_is_type(value, json_type_object))
            merge(old, value);
        else
            json_object_object_add(into, key, json_object_get(value));
    }
}

static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *found = json_get(object, key);

    if (!found) {
        found = json_object_new_object();
        json_object_object_add(object, key, found);
    }
    return found;
}

int container_remember_resources(
        int dir_fd, const struct spec_resources *resources, bool durable, struct error *err)
{
    _cleanup_json_ struct json_object *config = NULL;
    _cleanup_json_ struct json_object *change = record_write(&spec_resources_record, resources);
    int r = json_parse_file_at(dir_fd, "config.json", &config, err);

    if (r < 0)
        return r;
    merge(member(member(config, "linux"), "resources"), change);
    const char *text = json_text(config);
    r = io_replace_file_at(dir_fd, "config.json", text, strlen(text), 0600, durable);
    return r < 0 ? error_sys(err, -r, "write config.json") : 0;
}

int container_update(const struct container *container, const struct spec_resources *resources,
        struct error *err)
{
    struct cgroup_limits limits;

    if (container_status(container) == SPEC_STOPPED)
        return error_set(err, ESRCH, "container not running");
    build_limits(container->arena, resources, resources->devices.count > 0, &limits);
    int r = cgroup_update(&container->state.cgroup, &limits, "", err);
    return r < 0 ? r : container_remember_resources(container->dir_fd, resources, false, err);
}

int container_update_resctrl(
        const struct container *container, const struct strv *lines, struct error *err)
{
    return resctrl_update(&container->state.resctrl, lines, err);
}
