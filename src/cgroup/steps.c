#include "cgroup/steps.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/devices.h"
#include "cgroup/kinds.h"
#include "cgroup/procs.h"
#include "cgroup/systemd.h"
#include "sys/userns.h"

#define SUPERVISOR "supervisor" /* where an evacuated cgroup's processes go */

/* One group on its way into a plan. */
struct builder {
    struct plan *plan;
    const struct cgroup_layout *layout;
    const struct cgroup_request *request;
    struct cgroup_result *result;
    struct cgroup_dirs dirs;
    bool scoped; /* systemd makes the directories that it manages */
    const char *made_cpu_parents[CGROUP_DEPTH_MAX];
    size_t made_cpu_count;
};

static void refuse(struct builder *b, const char *what, const char *why, const char *remedy)
{
    struct cgroup_refused *list = &b->result->refused;

    list->items = arena_grow(
            b->plan->arena, list->items, list->count, &list->capacity, sizeof(*list->items));
    list->items[list->count++] = (struct cgroup_refusal){what, why, remedy};
}

static bool exists(const struct builder *b, const char *path)
{
    return !b->layout->foreign && faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0;
}

static bool writable(const struct builder *b, const char *path)
{
    return b->layout->foreign || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

static const char *join(const struct builder *b, const char *dir, const char *name)
{
    return path_join(b->plan->arena, dir, name);
}

/* A small cgroup file's text; "" when it cannot be read. */
static const char *read_text(const struct builder *b, const char *dir, const char *name)
{
    char text[4096];

    if (b->layout->foreign ||
            io_read_small_at(AT_FDCWD, join(b, dir, name), text, sizeof(text)) < 0)
        return "";
    return arena_strdup(b->plan->arena, text);
}

/* The directories from the mount down to the leaf, both included. */
struct chain {
    const char *items[CGROUP_DEPTH_MAX + 2];
    size_t count;
};

static int make_chain(const struct builder *b, const char *mount, const char *below,
        struct chain *ret, struct error *err)
{
    struct strv parts = {0};
    char *part;

    *ret = (struct chain){{mount}, 1};
    strv_split(b->plan->arena, &parts, below, '/');
    strv_foreach (part, &parts) {
        if (!*part)
            continue;
        if (ret->count > CGROUP_DEPTH_MAX)
            return error_set(
                    err, EINVAL, "cgroup path %s: deeper than %d", below, CGROUP_DEPTH_MAX);
        ret->items[ret->count] = join(b, ret->items[ret->count - 1], part);
        ret->count++;
    }
    if (ret->count < 2)
        return error_set(err, EINVAL,
                "cgroup path \"%s\": the root of a hierarchy cannot be a sandbox's group", below);
    return 0;
}

/* Where the group goes in this hierarchy, as a path below its mount. */
static const char *place_in(const struct builder *b, const struct cgroup_hierarchy *hierarchy)
{
    const char *path = b->request->path;
    const char *self = hierarchy->self ? hierarchy->self : "/";

    if (*path == '/')
        return path;
    /* beside our own: a v2 cgroup with processes may have no controllers below it */
    if (hierarchy->unified && !str_equal(self, "/"))
        self = path_dir(b->plan->arena, self);
    return join(b, self, path);
}

static const char *nearest_existing(const struct builder *b, const struct chain *chain)
{
    size_t i = chain->count - 1;

    while (i > 0 && !exists(b, chain->items[i]))
        i--;
    return chain->items[i];
}

/* The longest path that both lie below (or are). */
static const char *common_dir(const struct builder *b, const char *one, const char *other)
{
    const char *dir = one;

    while (!path_is_below(other, dir) && !str_equal(dir, "/"))
        dir = path_dir(b->plan->arena, dir);
    return dir;
}

/* Why this user cannot make and enter a group there; NULL: it can be done. */
static const char *obstacle(const struct builder *b, const struct cgroup_hierarchy *hierarchy,
        const struct chain *chain)
{
    struct arena *arena = b->plan->arena;
    const char *leaf = chain->items[chain->count - 1];
    const char *from = nearest_existing(b, chain);

    if (b->layout->foreign || b->scoped)
        return NULL;
    if (!writable(b, from))
        return arena_printf(arena, "%s may not be written by this user", from);
    if (!hierarchy->unified || !hierarchy->self)
        return NULL;
    const char *own = path_clean(arena, join(b, hierarchy->mount, hierarchy->self));
    const char *above = common_dir(b, own, leaf);
    if (writable(b, join(b, above, "cgroup.procs")))
        return NULL;
    return arena_printf(arena,
            "processes may not be moved out of our own cgroup: %s/cgroup.procs is not this user's",
            above);
}

#define DELEGATE_REMEDY                                                                            \
    "start it by `systemd-run --user --scope -p Delegate=yes …`, or run it as root"
#define CONTROLLER_REMEDY                                                                          \
    "let the controller be delegated: `systemctl edit user@.service`, [Service] "                  \
    "Delegate=cpu cpuset io memory pids"

static void give_up_hierarchy(struct builder *b, const struct cgroup_hierarchy *hierarchy,
        const char *leaf, const char *why)
{
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if ((hierarchy->controllers & (1U << i)) && !b->dirs.why_not[i]) {
            b->dirs.why_not[i] = why;
            b->dirs.remedy[i] = DELEGATE_REMEDY;
        }
    refuse(b, leaf, why, DELEGATE_REMEDY);
}

static struct cgroup_mkdir_args *add_mkdir(
        struct builder *b, const char *path, bool unified, int slot)
{
    struct cgroup_mkdir_args *args = arena_new(b->plan->arena, struct cgroup_mkdir_args);

    *args = (struct cgroup_mkdir_args){.path = path, .slot = slot, .unified = unified};
    plan_add(b->plan, b->request->place, &cgroup_mkdir_ops, "/linux/cgroupsPath", args);
    return args;
}

static void add_open(struct builder *b, const char *path, bool unified, int slot)
{
    struct cgroup_mkdir_args *args = arena_new(b->plan->arena, struct cgroup_mkdir_args);

    *args = (struct cgroup_mkdir_args){.path = path, .slot = slot, .unified = unified};
    plan_add(b->plan, b->request->place, &cgroup_open_ops, "/linux/cgroupsPath", args);
}

static void add_parent(struct builder *b, const char *path, bool unified)
{
    add_mkdir(b, path, unified, -1)->shared = true;
    strv_add(b->plan->arena, &b->result->saved.parents, path);
}

static int new_tasks_slot(struct builder *b, const char *path, struct error *err)
{
    struct cgroup_result *result = b->result;

    if (result->tasks_count >= CGROUP_TASKS_SLOTS_MAX)
        return error_set(err, E2BIG, "more than %d cgroup v1 hierarchies", CGROUP_TASKS_SLOTS_MAX);
    int slot = plan_new_slot(b->plan);
    result->tasks_slots[result->tasks_count] = slot;
    result->tasks_paths[result->tasks_count++] = join(b, path, "tasks");
    return slot;
}

/* A group that exists already may be used when nobody is in it. */
static int check_unused(const char *path, struct error *err)
{
    int r = cgroup_has_process(path);

    if (r < 0 && r != -EOPNOTSUPP)
        return error_sys(err, -r, "look into the cgroup %s", path);
    if (r == 0)
        return 0;
    return error_set(err, EEXIST,
            "the cgroup %s has processes already; choose another cgroupsPath, or end them", path);
}

/* Those that are this hierarchy's to serve: v2 always has some, also where v1 serves them. */
static uint32_t served(const struct builder *b, const struct cgroup_hierarchy *hierarchy)
{
    uint32_t set = 0;

    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (cgroup_layout_find(b->layout, i) == hierarchy)
            set |= 1U << i;
    return set;
}

static int add_leaf(struct builder *b, const struct cgroup_hierarchy *hierarchy, const char *path,
        int slot, struct error *err)
{
    bool unified = hierarchy->unified;
    bool there = exists(b, path);

    if (there && !b->scoped) {
        int r = check_unused(path, err);
        if (r < 0)
            return r;
    }
    if (there || (b->scoped && unified)) {
        add_open(b, path, unified, slot);
        return 0;
    }
    struct cgroup_mkdir_args *made = add_mkdir(b, path, unified, slot);
    made->may_exist = b->scoped || b->layout->foreign;
    made->controllers = served(b, hierarchy);
    return 0;
}

static void save_v1(struct builder *b, const char *names, const char *path)
{
    struct cgroup_saved *saved = &b->result->saved;

    saved->v1.items[saved->v1.count++] = (struct cgroup_saved_path){names, path};
}

/* Each level of a v1 cpuset that is new or empty gets what the one above has. */
static void add_cpuset_values(struct builder *b, const struct chain *chain, const char *file)
{
    const char *value = read_text(b, chain->items[0], file);

    for (size_t i = 1; i < chain->count; i++) {
        const char *own = read_text(b, chain->items[i], file);
        if (*own) {
            value = own;
            continue;
        }
        struct cgroup_write *write = arena_new(b->plan->arena, struct cgroup_write);
        *write = (struct cgroup_write){CGROUP_CPUSET, "", chain->items[i], file, value};
        plan_add(b->plan, b->request->place, &cgroup_write_ops, "", write);
    }
}

static int add_v1(struct builder *b, const struct cgroup_hierarchy *hierarchy, struct error *err)
{
    struct chain chain;
    bool cpu = hierarchy->controllers & (1U << CGROUP_CPU);

    int r = make_chain(b, hierarchy->mount, place_in(b, hierarchy), &chain, err);
    if (r < 0)
        return r;
    const char *leaf = chain.items[chain.count - 1];
    const char *why = obstacle(b, hierarchy, &chain);
    if (why) {
        give_up_hierarchy(b, hierarchy, leaf, why);
        return 0;
    }
    for (size_t i = 1; i + 1 < chain.count; i++) {
        if (exists(b, chain.items[i]))
            continue;
        add_parent(b, chain.items[i], false);
        if (cpu)
            b->made_cpu_parents[b->made_cpu_count++] = chain.items[i];
    }
    int slot = new_tasks_slot(b, leaf, err);
    r = slot < 0 ? slot : add_leaf(b, hierarchy, leaf, slot, err);
    if (r < 0)
        return r;
    if (hierarchy->controllers & (1U << CGROUP_CPUSET)) {
        add_cpuset_values(b, &chain, "cpuset.cpus");
        add_cpuset_values(b, &chain, "cpuset.mems");
    }
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (hierarchy->controllers & (1U << i))
            b->dirs.v1[i] = leaf;
    save_v1(b, hierarchy->names, leaf);
    return 0;
}

/* "+cpu +memory" */
static const char *enable_text(const struct builder *b, uint32_t controllers)
{
    struct strv words = {0};

    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (controllers & (1U << i))
            strv_add(b->plan->arena, &words,
                    arena_printf(b->plan->arena, "+%s", cgroup_controller_unified_name(i)));
    return words.count ? strv_join(b->plan->arena, &words, " ") : "";
}

/* Controllers that exist only when they are enabled. */
#define UNIFIED_ENABLED                                                                            \
    ((1U << CGROUP_CPU) | (1U << CGROUP_CPUSET) | (1U << CGROUP_MEMORY) | (1U << CGROUP_BLKIO) |   \
            (1U << CGROUP_PIDS) | (1U << CGROUP_HUGETLB) | (1U << CGROUP_RDMA) |                   \
            (1U << CGROUP_MISC))

/* What the limits need of the v2 hierarchy, found by translating them as if all of it were there.
 */
static uint32_t needed_controllers(const struct builder *b, uint32_t available)
{
    struct cgroup_writes writes = {.arena = b->plan->arena};
    struct cgroup_dirs dirs = b->dirs;
    uint32_t needed = 0;

    dirs.unified = "";
    dirs.unified_controllers = available;
    if (b->request->limits)
        cgroup_writes_add(&writes, b->request->limits, &dirs, false, NULL);
    for (size_t i = 0; i < writes.count; i++)
        if (!*writes.items[i].dir && writes.items[i].controller < CGROUP_CONTROLLERS)
            needed |= 1U << writes.items[i].controller;
    return needed & UNIFIED_ENABLED;
}

static bool is_real_root(const struct builder *b, const char *dir)
{
    return !exists(b, join(b, dir, "cgroup.type"));
}

static void add_enable(struct builder *b, const char *dir, uint32_t missing, uint32_t required)
{
    struct cgroup_enable_args *args = arena_new(b->plan->arena, struct cgroup_enable_args);

    *args = (struct cgroup_enable_args){
            dir, enable_text(b, missing), enable_text(b, missing & required)};
    plan_add(b->plan, b->request->place, &cgroup_enable_ops, b->request->pointer, args);
}

/* Our own cgroup, when it is the top of a subtree that was given to us. */
static void add_evacuation(
        struct builder *b, const struct cgroup_hierarchy *hierarchy, const char *dir)
{
    const char *own = hierarchy->self ? join(b, hierarchy->mount, hierarchy->self) : "";

    if (b->layout->foreign || !str_equal(path_clean(b->plan->arena, own), dir) ||
            is_real_root(b, dir) || cgroup_has_process(dir) != 1)
        return;
    struct cgroup_evacuate_args *args = arena_new(b->plan->arena, struct cgroup_evacuate_args);
    *args = (struct cgroup_evacuate_args){dir, SUPERVISOR};
    plan_add(b->plan, b->request->place, &cgroup_evacuate_ops, "", args);
}

static void lose_controllers(struct builder *b, uint32_t lost, const char *dir)
{
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (lost & (1U << i)) {
            b->dirs.why_not[i] = arena_printf(b->plan->arena,
                    "the %s controller is not enabled in %s, and this user may not enable it",
                    cgroup_controller_unified_name(i), dir);
            b->dirs.remedy[i] = CONTROLLER_REMEDY;
        }
}

/* What can be had at the leaf: where a cgroup.subtree_control on the way may not be written, only
 * what it has already. */
static uint32_t reachable(struct builder *b, const struct chain *chain, uint32_t available)
{
    for (size_t i = 0; i + 1 < chain->count; i++) {
        const char *dir = chain->items[i];
        if (!exists(b, dir) || writable(b, join(b, dir, "cgroup.subtree_control")))
            continue;
        uint32_t now = cgroup_controllers_parse(read_text(b, dir, "cgroup.subtree_control"), ' ');
        lose_controllers(b, available & ~now, dir);
        available &= now;
    }
    return available;
}

static void add_unified_parents(struct builder *b, const struct cgroup_hierarchy *hierarchy,
        const struct chain *chain, uint32_t wanted, uint32_t required)
{
    for (size_t i = 0; i + 1 < chain->count; i++) {
        const char *dir = chain->items[i];
        uint32_t now = 0;
        if (exists(b, dir) || i == 0)
            now = cgroup_controllers_parse(read_text(b, dir, "cgroup.subtree_control"), ' ');
        else
            add_parent(b, dir, true);
        if (wanted & ~now) {
            add_evacuation(b, hierarchy, dir);
            add_enable(b, dir, wanted & ~now, required);
        }
    }
}

static void add_descent(struct builder *b, const char *dir)
{
    struct cgroup_descend_args *args = arena_new(b->plan->arena, struct cgroup_descend_args);

    args->dir = dir;
    plan_add(b->plan, b->request->place, &cgroup_descend_ops, "/annotations", args);
}

/* What the kernel has is enabled below `dir`, once nobody is in it any more. */
static void add_enable_all(struct builder *b, const char *dir)
{
    struct cgroup_enable_args *args = arena_new(b->plan->arena, struct cgroup_enable_args);

    *args = (struct cgroup_enable_args){dir, enable_text(b, UNIFIED_ENABLED), ""};
    plan_add(b->plan, b->request->place, &cgroup_enable_ops, "/annotations", args);
}

static int add_unified(
        struct builder *b, const struct cgroup_hierarchy *hierarchy, struct error *err)
{
    struct chain chain;

    int r = make_chain(b, hierarchy->mount, place_in(b, hierarchy), &chain, err);
    if (r < 0)
        return r;
    const char *leaf = chain.items[chain.count - 1];
    const char *why = obstacle(b, hierarchy, &chain);
    if (why) {
        give_up_hierarchy(b, hierarchy, leaf, why);
        return 0;
    }
    bool alone = str_equal(cgroup_layout_kind(b->layout), "v2");
    uint32_t available = hierarchy->controllers & UNIFIED_ENABLED;
    if (!b->scoped) {
        available = reachable(b, &chain, available);
        uint32_t required = needed_controllers(b, available);
        add_unified_parents(b, hierarchy, &chain, alone ? available : required, required);
    }
    if (b->scoped && b->request->subgroup) {
        const char *scope = leaf;
        leaf = join(b, scope, b->request->subgroup);
        add_descent(b, leaf);
        add_enable_all(b, scope);
    }
    b->result->unified_slot = b->scoped ? -1 : plan_new_slot(b->plan);
    if (!b->scoped)
        r = add_leaf(b, hierarchy, leaf, b->result->unified_slot, err);
    b->dirs.unified = leaf;
    b->dirs.unified_controllers = available | (hierarchy->controllers & ~UNIFIED_ENABLED);
    b->result->saved.unified = leaf;
    return r;
}

static const char *limit_pointer(struct builder *b, const char *because)
{
    return plan_pointer(b->plan, "%s/%s", b->request->pointer ? b->request->pointer : "", because);
}

/* Errors for what a strict request cannot have; notes for the rest. */
static int handle_unmet(struct builder *b, const struct cgroup_writes *writes, struct error *err)
{
    for (size_t i = 0; i < writes->unmet_count; i++) {
        const struct cgroup_unmet *unmet = &writes->unmet[i];
        const char *pointer = limit_pointer(b, unmet->because);
        if (b->request->strict)
            return error_set(err, EOPNOTSUPP, "%s: %s; %s", pointer, unmet->why, unmet->remedy);
        refuse(b, pointer, unmet->why, unmet->remedy);
    }
    return 0;
}

static void add_write(struct builder *b, const struct cgroup_write *write)
{
    plan_add(b->plan, b->request->place, &cgroup_write_ops, limit_pointer(b, write->because),
            arena_memdup(b->plan->arena, write, sizeof(*write)));
}

/* A realtime budget has to come from above: parents that were made for this get the same. */
static void add_realtime_parents(struct builder *b, const struct cgroup_write *write)
{
    for (size_t i = 0; i < b->made_cpu_count; i++) {
        struct cgroup_write above = *write;
        above.dir = b->made_cpu_parents[i];
        add_write(b, &above);
    }
}

/* Of two files that kernels have for one thing, that of this kernel comes first, so that what is
 * told is what is done. */
static void choose_file(const struct builder *b, struct cgroup_write *write)
{
    const char *file = write->file;
    const char *value = write->value;

    if (!write->other_file || b->layout->foreign || cgroup_host_has_bfq())
        return;
    write->file = write->other_file;
    write->value = write->other_value ? write->other_value : value;
    write->other_file = file;
    write->other_value = value;
}

static int add_limits(struct builder *b, struct error *err)
{
    struct cgroup_writes writes = {.arena = b->plan->arena};

    int r = cgroup_writes_add(&writes, b->request->limits, &b->dirs, false, err);
    if (r < 0)
        return error_prefix(err, "%s", b->request->pointer);
    r = handle_unmet(b, &writes, err);
    for (size_t i = 0; r == 0 && i < writes.count; i++) {
        choose_file(b, &writes.items[i]);
        if (str_starts(writes.items[i].because, "cpu/realtime"))
            add_realtime_parents(b, &writes.items[i]);
        add_write(b, &writes.items[i]);
    }
    return r;
}

static int add_device_lines(struct builder *b, const char *dir, struct error *err)
{
    struct cgroup_device_lines_args *args =
            arena_new(b->plan->arena, struct cgroup_device_lines_args);

    args->dir = dir;
    int r = cgroup_devices_lines(b->request->limits, b->plan->arena, &args->lines, err);
    if (r < 0)
        return error_prefix(err, "%s", b->request->pointer);
    plan_add(b->plan, b->request->place, &cgroup_device_lines_ops, limit_pointer(b, "devices"),
            args);
    return 0;
}

static int add_devices(struct builder *b, struct error *err)
{
    const struct cgroup_limits *limits = b->request->limits;
    const char *v1 = b->dirs.v1[CGROUP_DEVICES];

    int r = cgroup_devices_check(limits, err);
    if (r < 0)
        return error_prefix(err, "%s", b->request->pointer);
    if (limits->devices.count == 0)
        return 0;
    if (v1)
        return add_device_lines(b, v1, err);
    /* in a user namespace the kernel refuses device programs, and device nodes cannot be made */
    bool may = b->layout->foreign || (geteuid() == 0 && !sys_in_user_namespace());
    if (!b->dirs.unified || !may) {
        refuse(b, limit_pointer(b, "devices"),
                "device rules need root of the host; without it no device node can be made either",
                "run it as root to have device rules");
        return 0;
    }
    struct cgroup_device_program_args *args =
            arena_new(b->plan->arena, struct cgroup_device_program_args);
    args->dir = b->dirs.unified;
    args->loaded = b->layout->loaded;
    args->program = cgroup_devices_program(limits, b->plan->arena, &args->count);
    plan_add(b->plan, b->request->place, &cgroup_device_program_ops, limit_pointer(b, "devices"),
            args);
    return 0;
}

static void add_delegation(struct builder *b)
{
    const struct cgroup_request *request = b->request;

    if (!request->delegate || !b->dirs.unified || geteuid() != 0)
        return;
    struct cgroup_delegate_args *args = arena_new(b->plan->arena, struct cgroup_delegate_args);
    *args = (struct cgroup_delegate_args){
            b->dirs.unified, request->delegate_uid, request->delegate_gid};
    plan_add(b->plan, request->place, &cgroup_delegate_ops, "", args);
}

/* Everything, once it is settled where: v1 first, so that what v2 needs is known. */
static int build(struct builder *b, struct error *err)
{
    const struct cgroup_layout *layout = b->layout;
    const struct cgroup_hierarchy *unified = cgroup_layout_unified(layout);
    int r = 0;

    b->result->saved.v1.items =
            arena_new_array(b->plan->arena, struct cgroup_saved_path, layout->count + 1);
    for (size_t i = 0; r == 0 && i < layout->count; i++)
        if (!layout->items[i].unified)
            r = add_v1(b, &layout->items[i], err);
    if (r == 0 && unified)
        r = add_unified(b, unified, err);
    if (r == 0 && b->request->limits)
        r = add_limits(b, err);
    if (r == 0 && b->request->limits)
        r = add_devices(b, err);
    if (r == 0)
        add_delegation(b);
    return r;
}

static int check_path(const char *path, struct error *err)
{
    if (str_empty(path))
        return error_set(err, EINVAL, "a cgroup path is needed");
    if (path_has_dotdot(path) || strlen(path) > PATH_MAX / 2 || strchr(path, '\n'))
        return error_set(err, EINVAL, "cgroup path \"%s\": it may not have \"..\" in it", path);
    return 0;
}

/* Groups below the own one need v2 alone: delegation is not safe on v1 (cgroups(7)). */
static int check_below(const struct cgroup_layout *layout, const char *annotation, const char *name,
        struct error *err)
{
    if (!name)
        return 0;
    if (strchr(name, '/') || strchr(name, '\n') || str_equal(name, ".") || str_equal(name, "..") ||
            strlen(name) > NAME_MAX)
        return error_set(err, EINVAL,
                "config.json: /annotations/%s: \"%s\": write one name, without a slash", annotation,
                name);
    if (!str_equal(cgroup_layout_kind(layout), "v2"))
        return error_set(err, EOPNOTSUPP,
                "config.json: /annotations/%s: this host has cgroup hierarchies of v1, and groups "
                "below a container's are safe on v2 alone; leave the annotation out, or boot with "
                "systemd.unified_cgroup_hierarchy=1",
                annotation);
    return 0;
}

int cgroup_steps_create(struct plan *plan, const struct cgroup_layout *layout,
        const struct cgroup_request *request, struct cgroup_result *ret, struct error *err)
{
    struct builder b = {plan, layout, request, ret};

    *ret = (struct cgroup_result){.unified_slot = -1};
    int r = check_below(layout, "run.oci.delegate-cgroup", request->delegated, err);
    if (r == 0 && request->manager == CGROUP_MANAGER_SYSTEMD)
        r = check_below(layout, "run.oci.systemd.subgroup", request->subgroup, err);
    if (r < 0 || request->manager != CGROUP_MANAGER_FS)
        return r;
    r = check_path(request->path, err);
    if (r < 0)
        return r;
    ret->saved.manager = "cgroupfs";
    return build(&b, err);
}

static void add_attach(struct plan *plan, const struct cgroup_result *result)
{
    struct cgroup_attach_args *args = arena_new(plan->arena, struct cgroup_attach_args);

    if (!result->tasks_count)
        return;
    args->count = result->tasks_count;
    args->slots = arena_memdup(plan->arena, result->tasks_slots, sizeof(result->tasks_slots));
    args->paths = arena_memdup(plan->arena, result->tasks_paths, sizeof(result->tasks_paths));
    plan_add(plan, STEP_CHILD, &cgroup_attach_ops, "/linux/cgroupsPath", args);
}

static int add_scope(struct builder *b, struct error *err)
{
    const struct cgroup_systemd *systemd = &b->request->systemd;
    struct cgroup_saved *saved = &b->result->saved;
    struct cgroup_request *request = arena_memdup(b->plan->arena, b->request, sizeof(*b->request));
    struct cgroup_unit unit;

    int r = cgroup_systemd_unit(
            request->path, systemd->user, sys_uid_outside(), b->plan->arena, &unit, err);
    if (r < 0)
        return r;
    struct cgroup_scope_args *args = arena_new(b->plan->arena, struct cgroup_scope_args);
    bool alone = str_equal(cgroup_layout_kind(b->layout), "v2");
    r = cgroup_systemd_start_order(request, &unit, alone, b->plan->arena, &args->order, err);
    if (r < 0)
        return r;
    args->helper = systemd->helper;
    args->unit = unit.name;
    args->below = unit.below;
    args->stop = cgroup_systemd_stop_order(systemd->bus, systemd->user, unit.name, b->plan->arena);
    plan_add(b->plan, request->place, &cgroup_scope_ops, "/linux/cgroupsPath", args);
    request->path = unit.below;
    b->request = request;
    saved->manager = "systemd";
    saved->scope = unit.name;
    saved->user_manager = systemd->user;
    saved->helper = systemd->helper;
    saved->bus = systemd->bus;
    return build(b, err);
}

int cgroup_steps_attach(struct plan *plan, const struct cgroup_layout *layout,
        const struct cgroup_request *request, struct cgroup_result *result, struct error *err)
{
    struct builder b = {plan, layout, request, result, .scoped = true};

    if (request->manager == CGROUP_MANAGER_SYSTEMD) {
        int r = add_scope(&b, err);
        if (r < 0)
            return r;
    }
    add_attach(plan, result);
    return 0;
}

int cgroup_steps_descend(struct plan *plan, const struct cgroup_request *request,
        const struct cgroup_result *result, struct error *err)
{
    struct builder b = {.plan = plan, .request = request};
    const char *group = result->saved.unified;

    if (!request->delegated)
        return 0;
    if (!group)
        return error_set(err, EOPNOTSUPP,
                "config.json: /annotations/run.oci.delegate-cgroup: the container has no cgroup");
    const char *dir = join(&b, group, request->delegated);
    add_descent(&b, dir);
    add_enable_all(&b, group);
    if (geteuid() == 0) {
        struct cgroup_delegate_args *args = arena_new(plan->arena, struct cgroup_delegate_args);
        *args = (struct cgroup_delegate_args){dir, request->delegate_uid, request->delegate_gid};
        plan_add(plan, request->place, &cgroup_delegate_ops, "/annotations", args);
    }
    return 0;
}

/* The v2 directory for one more process: the group's own, or where the first process is now. */
static const char *join_dir(struct builder *b, const char *unified, pid_t init)
{
    char text[PATH_MAX];
    struct cgroup_hierarchy v2 = {.unified = true};

    if (init <= 0 || !*read_text(b, unified, "cgroup.subtree_control"))
        return unified;
    const char *path = arena_printf(b->plan->arena, "/proc/%d/cgroup", init);
    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return unified;
    const char *line = str_starts(text, "0::") ? text : strstr(text, "\n0::");
    if (!line)
        return unified;
    line = strchr(line, '/');
    const char *now = line ? arena_strndup(b->plan->arena, line, strcspn(line, "\n")) : "/";
    for (size_t i = 0; i < b->layout->count; i++)
        if (b->layout->items[i].unified)
            v2 = b->layout->items[i];
    if (!v2.mount)
        return unified;
    const char *dir = path_clean(b->plan->arena, join(b, v2.mount, now));
    return path_is_below(dir, unified) && exists(b, dir) ? dir : unified;
}

static int no_sub(const char *dir, struct error *err)
{
    return error_set(err, ENOENT, "there is no cgroup %s; make it first", dir);
}

/* In each v1 hierarchy; a path without controllers is taken where it is there, and must be in one.
 */
static int join_v1(struct builder *b, const struct cgroup_saved *saved,
        const struct cgroup_sub_list *subs, struct error *err)
{
    const struct cgroup_sub *unified = cgroup_sub_find(subs, NULL);
    bool found = saved->unified && unified && exists(b, join(b, saved->unified, unified->path));
    const char *missing = NULL;

    for (size_t i = 0; i < saved->v1.count; i++) {
        const char *dir = saved->v1.items[i].path;
        const struct cgroup_sub *sub = cgroup_sub_find(subs, saved->v1.items[i].controllers);
        const char *below = sub ? join(b, dir, sub->path) : dir;
        if (!sub || exists(b, below)) {
            dir = below;
            found = true;
        } else if (sub->controllers) {
            return no_sub(below, err);
        } else {
            missing = below;
        }
        int slot = new_tasks_slot(b, dir, err);
        if (slot < 0)
            return slot;
        add_open(b, dir, false, slot);
    }
    return missing && !found ? no_sub(missing, err) : 0;
}

int cgroup_steps_join(struct plan *plan, const struct cgroup_saved *saved, pid_t init,
        const struct cgroup_sub_list *subs, struct cgroup_result *ret, struct error *err)
{
    struct cgroup_layout layout = {0};
    struct cgroup_request request = {.place = STEP_HOST, .pointer = ""};
    struct builder b = {plan, &layout, &request, ret};

    *ret = (struct cgroup_result){.unified_slot = -1, .saved = *saved};
    int r = cgroup_sub_check(subs, saved, err);
    if (r == 0)
        r = join_v1(&b, saved, subs, err);
    if (r < 0 || !saved->unified)
        return r;
    const struct cgroup_sub *sub = cgroup_sub_find(subs, NULL);
    const char *dir = sub ? join(&b, saved->unified, sub->path) : saved->unified;
    if (sub && !exists(&b, dir) && !saved->v1.count)
        return no_sub(dir, err);
    if (!sub && *read_text(&b, dir, "cgroup.subtree_control")) {
        r = cgroup_layout_detect(plan->arena, &layout, err);
        if (r < 0)
            return r;
        dir = join_dir(&b, dir, init);
    }
    ret->unified_slot = plan_new_slot(plan);
    add_open(&b, exists(&b, dir) ? dir : saved->unified, true, ret->unified_slot);
    return 0;
}
