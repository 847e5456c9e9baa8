#include "cgroup/saved.h"

static const struct field path_fields[] = {
        FIELD_REQUIRED(struct cgroup_saved_path, path, FIELD_STR),
};
static const struct record path_record = RECORD(struct cgroup_saved_path, path_fields);

static const struct field fields[] = {
        FIELD(struct cgroup_saved, manager, FIELD_STR),
        FIELD(struct cgroup_saved, unified, FIELD_STR),
        FIELD_OF(struct cgroup_saved, v1, "v1", FIELD_DICT, &path_record),
        FIELD(struct cgroup_saved, scope, FIELD_STR),
        FIELD_AS(struct cgroup_saved, user_manager, "userManager", FIELD_BOOL),
        FIELD(struct cgroup_saved, helper, FIELD_STR),
        FIELD(struct cgroup_saved, bus, FIELD_STR),
        FIELD(struct cgroup_saved, parents, FIELD_STRV),
};
const struct record cgroup_saved_record = RECORD(struct cgroup_saved, fields);

const char *cgroup_saved_v1(const struct cgroup_saved *saved, enum cgroup_controller controller)
{
    for (size_t i = 0; i < saved->v1.count; i++)
        if (cgroup_controllers_parse(saved->v1.items[i].controllers, ',') & (1U << controller))
            return saved->v1.items[i].path;
    return NULL;
}

const char *cgroup_saved_any(const struct cgroup_saved *saved)
{
    if (saved->unified)
        return saved->unified;
    return saved->v1.count ? saved->v1.items[0].path : NULL;
}
