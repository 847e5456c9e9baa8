#include "container/build.h"

#include "base/str.h"
#include "container/annotations.h"
#include "container/build_parts.h"
#include "container/clone.h"
#include "container/console.h"
#include "container/hook_steps.h"
#include "container/notify.h"
#include "container/outside.h"

/* What the parts of a build hand to each other. */
struct build {
    const struct container_request *request;
    struct plan *plan;
    struct container_built *built;
    struct ns_set namespaces;
    struct ns_id_maps id_maps;
    struct rootfs *rootfs;
    struct security security;
    struct container_gate gate;
    struct cgroup_request cgroup;
    int console_slot;
    bool new_userns;
};

static bool has(const struct build *build, enum ns_kind kind, enum ns_mode mode)
{
    return build->namespaces.of[kind].mode == mode;
}

static const char *because(const struct build *build, enum ns_kind kind)
{
    return build->namespaces.of[kind].because;
}

/* NULL when it is empty, too. */
static const char *annotation(const struct spec *spec, const char *name)
{
    const char *value = spec_annotation(spec, name);

    return str_empty(value) ? NULL : value;
}

static int prepare_cgroup(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    const struct spec_linux *linux_part = &request->spec->linux;
    struct cgroup_limits *limits = arena_new(request->arena, struct cgroup_limits);
    bool devices = !request->unmasked_devices && !request->host->rootless;

    build_limits(request->arena, &linux_part->resources, devices, limits);
    build->cgroup = (struct cgroup_request){
            .manager = request->cgroup_manager,
            .path = str_empty(linux_part->cgroupsPath) ? request->default_cgroup
                                                       : linux_part->cgroupsPath,
            .limits = limits,
            .pointer = "/linux/resources",
            .strict = request->cgroup_strict,
            .place = STEP_HOST,
            .delegate = request->cgroup_delegate,
            .subgroup = annotation(request->spec, "run.oci.systemd.subgroup"),
            .delegated = annotation(request->spec, "run.oci.delegate-cgroup"),
            .systemd = request->host->systemd,
    };
    uint32_t root, user = 0;
    /* config-linux.md#cgroup-ownership: what the process sees as its own is the process's */
    if (build->new_userns && has(build, NS_CGROUP, NS_NEW) &&
            build_cgroup_writable(request->spec) && !request->cgroup_delegate) {
        build->cgroup.delegate = true;
        user = request->spec->process->user.uid;
    }
    if (build->new_userns && id_maps_outside(&build->id_maps.uids, user, &root))
        build->cgroup.delegate_uid = root;
    if (build->new_userns && id_maps_outside(&build->id_maps.gids, 0, &root))
        build->cgroup.delegate_gid = root;
    return container_systemd_properties(
            request->arena, &request->spec->annotations, &build->cgroup.systemd.properties, err);
}

static int prepare_namespaces(struct build *build, struct error *err)
{
    int r = build_namespaces(build->request, &build->namespaces, err);

    if (r < 0)
        return r;
    build->new_userns = has(build, NS_USER, NS_NEW);
    build_id_maps(build->request, &build->id_maps);
    return 0;
}

static int prepare(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    const struct spec *spec = request->spec;
    int r = prepare_namespaces(build, err);

    if (r < 0)
        return r;
    build_security(request->arena, spec->process, &spec->linux, request->host,
            !has(build, NS_USER, NS_HOST), &build->security, &build->built->warnings);
    build->security.id = request->id;
    build->security.process_at = "/process";
    build->security.user.keep_groups =
            !str_empty(spec_annotation(spec, "run.oci.keep_original_groups")) &&
            !str_equal(spec_annotation(spec, "run.oci.keep_original_groups"), "0");
    build->security.no_new_keyring = request->no_new_keyring;
    build->security.preserve_fds = request->preserve_fds;
    build->security.death_signal = request->die_with_host ? 9 : 0;
    build->security.seccomp = request->seccomp;
    if (spec->linux.seccomp && !str_empty(spec->linux.seccomp->listenerPath)) {
        struct json_object *state = spec_state_write(request->state);
        build->security.listener = (struct security_listener){
                .path = spec->linux.seccomp->listenerPath,
                .metadata = spec->linux.seccomp->listenerMetadata,
                .state = arena_strdup(request->arena, json_text(state)),
                .version = spec->ociVersion,
        };
        json_object_put(state);
    }
    return prepare_cgroup(build, err);
}

/* Whether a step needs the host's procfs: what the security module writes there. */
static bool needs_host_proc(const struct security *security)
{
    return security->oom_score_adj.set || !str_empty(security->apparmor_profile) ||
           !str_empty(security->selinux_label) || security->listener.path;
}

static int add_more(struct build *build, enum container_point point, struct error *err)
{
    const struct container_request *request = build->request;

    return request->more ? request->more(request->more_data, point, build->plan, err) : 0;
}

/* Everything that needs the host's paths or rights, before the child is there. */
static int add_preparations(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    struct plan *plan = build->plan;

    ns_add_open_joins(plan, &build->namespaces);
    if (needs_host_proc(&build->security))
        build->security.proc_slot = rootfs_add_proc(plan, STEP_HOST);
    int r = security_steps_connect(plan, &build->security, err);
    if (r < 0)
        return r;
    build->console_slot = -1;
    if (request->console_socket)
        build->console_slot =
                container_console_connect_step(plan, request->console_socket, "/process/terminal");
    else if (request->console_fd >= 0)
        build->console_slot = plan_new_slot(plan);
    build->built->console_slot = build->console_slot;
    if (request->wait_for_start) {
        build->gate.dir_fd = request->dir_fd;
        container_gate_make_step(plan, &build->gate);
    }
    if (request->notify)
        container_notify_step(plan, request->dir_fd);
    r = cgroup_steps_create(
            plan, request->host->cgroups, &build->cgroup, &build->built->cgroup, err);
    if (r < 0)
        return r;
    r = add_more(build, CONTAINER_BEFORE_CHILD, err);
    if (r < 0)
        return r;
    struct rootfs_cgroups *view = arena_new(request->arena, struct rootfs_cgroups);
    build->rootfs = arena_new(request->arena, struct rootfs);
    build_cgroup_view(request, &build->namespaces, &build->built->cgroup, view);
    build_rootfs(request, &build->namespaces, view, build->rootfs);
    /* an ordinary user has no right to clone mounts but in its own namespaces: the child opens */
    return request->host->rootless ? 0 : rootfs_add_open(plan, build->rootfs, err);
}

static void add_net_devices(struct build *build)
{
    const struct spec_linux *linux_part = &build->request->spec->linux;
    struct plan *plan = build->plan;

    for (size_t i = 0; i < linux_part->netDevices.count; i++) {
        const struct spec_net_device *from = &linux_part->netDevices.items[i];
        struct ns_net_device device = {from->host_name, from->name};
        ns_add_net_device(
                plan, &device, plan_pointer(plan, "/linux/netDevices/%s", from->host_name));
    }
}

static int add_resctrl(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    const struct spec_intel_rdt *from = request->spec->linux.intelRdt;
    const char *line;

    if (!from)
        return 0;
    struct resctrl_request resctrl = {.root = resctrl_root(),
            .clos_id = from->closID,
            .id = request->id,
            .monitor = from->enableMonitoring};
    if (!str_empty(from->l3CacheSchema))
        strv_add(request->arena, &resctrl.lines, from->l3CacheSchema);
    if (!str_empty(from->memBwSchema))
        strv_add(request->arena, &resctrl.lines, from->memBwSchema);
    strv_foreach (line, &from->schemata) {
        strv_add(request->arena, &resctrl.lines, line);
    }
    int r = resctrl_add(build->plan, &resctrl, &build->built->resctrl, err);
    return r < 0 ? error_prefix(err, "config.json: /linux/intelRdt") : 0;
}

static int add_child(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    struct plan *plan = build->plan;
    const struct ns_choice *user = &build->namespaces.of[NS_USER];
    const struct ns_choice *pid = &build->namespaces.of[NS_PID];
    struct container_clone clone = {
            .new_kinds = ns_set_flags(&build->namespaces, NS_NEW),
            .user_slot = user->mode == NS_JOIN ? user->slot : -1,
            .pid_slot = pid->mode == NS_JOIN ? pid->slot : -1,
            .cgroup_slot = build->built->cgroup.unified_slot,
            .rootless = request->host->rootless,
            .die_with_host = request->die_with_host,
            .hide = user->mode == NS_HOST && pid->mode != NS_NEW,
    };

    container_clone_step(plan, &clone, "/linux/namespaces");
    /* all that the host does while the child waits comes first: one hand-over is enough then */
    if (build->new_userns)
        ns_add_id_maps(plan, &build->id_maps, "/linux/uidMappings");
    int r = 0;
    if (!has(build, NS_USER, NS_HOST))
        r = security_steps_limits(plan, STEP_HOST, &build->security, err);
    if (r == 0 && !request->host->rootless)
        r = rootfs_add_idmaps(plan, build->rootfs, err);
    if (r == 0)
        r = add_resctrl(build, err);
    if (!has(build, NS_NET, NS_JOIN))
        add_net_devices(build);
    if (r == 0)
        r = add_more(build, CONTAINER_WITH_CHILD, err);
    if (r == 0)
        r = cgroup_steps_attach(
                plan, request->host->cgroups, &build->cgroup, &build->built->cgroup, err);
    return r;
}

/* Comes before the change of identity, after which the process's own files in procfs belong to the
 * host's root and not to the sandbox's. */
static void add_clocks(struct build *build)
{
    const struct spec_time_offsets *from = &build->request->spec->linux.timeOffsets;
    struct ns_clock_offset offsets[2];
    size_t count = 0;

    if (!has(build, NS_TIME, NS_NEW))
        return;
    if (from->monotonic)
        offsets[count++] = (struct ns_clock_offset){
                "monotonic", from->monotonic->secs, from->monotonic->nanosecs};
    if (from->boottime)
        offsets[count++] = (struct ns_clock_offset){
                "boottime", from->boottime->secs, from->boottime->nanosecs};
    int proc = rootfs_add_proc(build->plan, STEP_CHILD);
    ns_add_time(build->plan, offsets, count, proc, "/linux/timeOffsets");
}

/* The namespaces other than mount, and what is set in them. */
static int add_namespaces(struct build *build, struct error *err)
{
    struct plan *plan = build->plan;
    struct ns_set joins = build->namespaces;

    joins.of[NS_USER].mode = NS_HOST; /* the child was born in it */
    ns_add_joins(plan, &joins);
    if (has(build, NS_NET, NS_JOIN))
        add_net_devices(build);
    add_clocks(build);
    if (!has(build, NS_USER, NS_HOST))
        ns_add_become_root(plan, build->id_maps.deny_setgroups, because(build, NS_USER));
    if (has(build, NS_CGROUP, NS_NEW))
        ns_add_unshare_cgroup(plan, because(build, NS_CGROUP));
    int r = cgroup_steps_descend(plan, &build->cgroup, &build->built->cgroup, err);
    if (r < 0)
        return r;
    if (has(build, NS_NET, NS_NEW))
        ns_add_loopback(plan, because(build, NS_NET));
    return add_more(build, CONTAINER_INSIDE, err);
}

static int add_kernel_settings(struct build *build, struct error *err)
{
    const struct spec *spec = build->request->spec;
    struct plan *plan = build->plan;
    int proc = build->rootfs->proc_slot;

    if (!str_empty(spec->hostname))
        ns_add_hostname(plan, spec->hostname, "/hostname");
    if (!str_empty(spec->domainname))
        ns_add_domainname(plan, spec->domainname, "/domainname");
    if (spec->linux.sysctl.count)
        rootfs_open_proc(plan, STEP_CHILD, proc);
    for (size_t i = 0; i < spec->linux.sysctl.count; i++) {
        const struct record_pair *pair = &spec->linux.sysctl.items[i];
        int r = ns_sysctl_check(&build->namespaces, pair->key, err);
        if (r < 0)
            return error_prefix(err, "/linux/sysctl/%s", pair->key);
        ns_add_sysctl(plan, pair->key, pair->value, proc,
                plan_pointer(plan, "/linux/sysctl/%s", pair->key));
    }
    return 0;
}

static int add_root(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    const struct spec *spec = request->spec;
    struct plan *plan = build->plan;
    int r = 0;

    if (request->host->rootless)
        r = rootfs_add_open(plan, build->rootfs, err);
    if (r == 0 && request->host->rootless)
        r = rootfs_add_idmaps(plan, build->rootfs, err);
    if (r == 0)
        r = rootfs_add_prepare(plan, build->rootfs, err);
    if (r == 0)
        r = add_kernel_settings(build, err);
    if (r == 0)
        r = security_steps_session(plan, STEP_CHILD, &build->security, err);
    if (r == 0)
        r = rootfs_add_mounts(plan, build->rootfs, err);
    if (r < 0)
        return r;
    container_hook_steps(
            plan, STEP_HOST, &spec->hooks.prestart, "prestart", request->state, SPEC_CREATING);
    container_hook_steps(plan, STEP_HOST, &spec->hooks.createRuntime, "createRuntime",
            request->state, SPEC_CREATING);
    container_hook_steps(plan, STEP_CHILD, &spec->hooks.createContainer, "createContainer",
            request->state, SPEC_CREATING);
    return rootfs_add_enter(plan, build->rootfs, err);
}

static void add_console(struct build *build)
{
    const struct spec_process *process = build->request->spec->process;

    if (build->console_slot < 0 || !process->terminal)
        return;
    struct container_console console = {
            .socket_slot = build->console_slot,
            .mount = has(build, NS_MNT, NS_NEW),
    };
    if (process->consoleSize) {
        console.columns = (uint16_t)process->consoleSize->width;
        console.lines = (uint16_t)process->consoleSize->height;
    }
    container_console_step(build->plan, &console, "/process/terminal");
}

static int add_workload(struct build *build, struct error *err)
{
    const struct container_request *request = build->request;
    struct plan *plan = build->plan;
    int r = 0;

    if (request->own_null && has(build, NS_MNT, NS_NEW))
        outside_null_step(plan);
    add_console(build);
    if (has(build, NS_USER, NS_HOST))
        r = security_steps_limits(plan, STEP_CHILD, &build->security, err);
    rootfs_add_cwd(plan, request->spec->process->cwd, "/process/cwd");
    if (r == 0)
        r = security_steps_confine(plan, STEP_CHILD, &build->security, err);
    if (r < 0)
        return r;
    if (request->wait_for_start)
        container_gate_wait_step(plan, &build->gate);
    container_hook_steps(plan, STEP_CHILD, &request->spec->hooks.startContainer, "startContainer",
            request->state, SPEC_CREATED);
    return security_steps_enter(plan, STEP_CHILD, &build->security, err);
}

int container_build(const struct container_request *request, struct plan *plan,
        struct container_built *ret, struct error *err)
{
    struct build build = {.request = request, .plan = plan, .built = ret};

    *ret = (struct container_built){.console_slot = -1};
    if (!request->spec->process)
        return error_set(err, EINVAL, "config.json: /process: required to make a container");
    int r = prepare(&build, err);
    if (r == 0)
        r = add_preparations(&build, err);
    if (r == 0)
        r = add_child(&build, err);
    if (r == 0)
        r = add_namespaces(&build, err);
    if (r == 0)
        r = add_root(&build, err);
    return r < 0 ? r : add_workload(&build, err);
}

int container_build_group(const struct container_request *request, struct plan *plan,
        struct container_built *ret, struct error *err)
{
    const struct cgroup_layout *layout = request->host->cgroups;
    struct build build = {.request = request, .plan = plan, .built = ret};

    *ret = (struct container_built){.console_slot = -1};
    int r = prepare_namespaces(&build, err);
    if (r == 0)
        r = prepare_cgroup(&build, err);
    if (r == 0)
        r = cgroup_steps_create(plan, layout, &build.cgroup, &ret->cgroup, err);
    if (r == 0 && request->cgroup_manager == CGROUP_MANAGER_SYSTEMD)
        r = cgroup_steps_attach(plan, layout, &build.cgroup, &ret->cgroup, err);
    return r;
}
