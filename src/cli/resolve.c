#include "cli/resolve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/path.h"
#include "cli/devices.h"
#include "engine/joins.h"
#include "engine/names.h"
#include "engine/root.h"
#include "engine/volumes.h"
#include "net/network.h"
#include "ns/namespaces.h"
#include "security/selinux.h"
#include "spec/defaults.h"
#include "spec/signals.h"

#define INIT_INSIDE "/dev/init"

/* ---- namespaces ------------------------------------------------------------------------------ */

/* Another sandbox's namespace: what is remembered is its id, since names can change. */
static int add_join(struct cli *cli, struct engine *engine, const struct run_place *place,
        enum ns_kind kind, struct sandbox_meta *meta, struct error *err)
{
    _cleanup_sandbox_ struct sandbox other = {.record_fd = -1};

    if (place->kind != RUN_CONTAINER)
        return 0;
    int r = engine_find(engine, place->text, &other, err);
    if (r < 0)
        return r;
    struct sandbox_join *join = RECORD_APPEND(cli->arena, &meta->joins);
    join->kind = ns_kinds[kind].oci;
    join->sandbox = other.meta.id ? other.meta.id : other.meta.name;
    return 0;
}

static int resolve_namespaces(struct cli *cli, struct engine *engine, struct spec *spec,
        const struct run_choices *choices, struct sandbox_meta *meta, struct error *err)
{
    const struct {
        const struct run_place *place;
        enum ns_kind kind;
    } rows[] = {{&choices->network, NS_NET}, {&choices->pid, NS_PID}, {&choices->ipc, NS_IPC},
            {&choices->uts, NS_UTS}, {&choices->cgroupns, NS_CGROUP}, {&choices->userns, NS_USER}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int r = add_join(cli, engine, rows[i].place, rows[i].kind, meta, err);
        if (r < 0)
            return r;
    }
    enum run_place_kind users = choices->userns.kind;
    if (users == RUN_KEEP_ID)
        return error_set(err, EOPNOTSUPP,
                "--userns keep-id: root inside is you outside where an ordinary user runs it, so "
                "that files of -v are yours; leave it out");
    bool unsaid = users == RUN_DEFAULT && !choices->bundle; /* a bundle says it itself */
    meta->userns_auto = !choices->vm && (unsaid || users == RUN_AUTO || users == RUN_PRIVATE);
    meta->idmap_root = meta->userns_auto;
    if (meta->userns_auto)
        namespace_set(cli->arena, spec, ns_kinds[NS_USER].oci, NULL);
    meta->network = choices->net;
    bool unsaid_network =
            choices->network.kind == RUN_NAMED && str_equal(choices->network.text, NETWORK_DEFAULT);
    if (engine->host.rootless && unsaid_network) {
        meta->network.joins.count = 0; /* an ordinary user's default network is pasta's */
        meta->network.pasta = true;
    }
    return 0;
}

/* ---- users, profiles, init ------------------------------------------------------------------- */

static int resolve_groups(struct cli *cli, struct engine *engine, struct spec *spec,
        const struct run_choices *choices, const struct sandbox_meta *meta, struct error *err)
{
    struct spec_user *user = &spec->process->user;
    const char *group;

    if (!choices->groups.count)
        return 0;
    user->additionalGids.items = arena_new_array(cli->arena, uint32_t, choices->groups.count);
    strv_foreach (group, &choices->groups) {
        struct passwd_user found;
        int r = engine_root_user(
                engine, meta, spec, arena_printf(cli->arena, "0:%s", group), &found, err);
        if (r < 0)
            return error_prefix(err, "--group-add %s", group);
        user->additionalGids.items[user->additionalGids.count++] = found.gid;
    }
    return 0;
}

static int resolve_seccomp(struct cli *cli, struct spec *spec, const struct run_choices *choices,
        struct engine_run *run, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = cli->arena};

    run->meta.confined = !choices->seccomp_unconfined && !choices->privileged;
    if (!choices->seccomp_file)
        return 0;
    int r = json_parse_file_at(AT_FDCWD, choices->seccomp_file, &json, err);
    if (r < 0)
        return error_prefix(err, "--security-opt seccomp");
    spec->linux.seccomp = arena_new(cli->arena, struct spec_seccomp);
    record_read(&spec_seccomp_record, json, "", spec->linux.seccomp, &report);
    if (report.faults.count)
        return error_set(err, EINVAL, "--security-opt seccomp: %s: %s", choices->seccomp_file,
                report.faults.words[0]);
    return 0;
}

/* The words of label= that are parts of a context; "disable" takes back those before it. */
static int read_label_words(const struct run_choices *choices, struct strv *ret, struct error *err)
{
    bool selinux = selinux_enabled();

    for (size_t i = 0; i < choices->selinux.count; i++) {
        const char *word = choices->selinux.words[i];
        if (str_equal(word, "disable"))
            *ret = (struct strv){.words = choices->selinux.words + i + 1};
        else if (!selinux)
            return error_set(err, EOPNOTSUPP,
                    "--security-opt label=%s: this kernel runs without SELinux", word);
        else if (str_equal(word, "nested"))
            return error_set(err, EOPNOTSUPP,
                    "--security-opt label=nested: viv does not let a sandbox set labels itself");
        else
            ret->count++;
    }
    return 0;
}

/* Without label= and z a sandbox runs in the domain that the policy gives it. */
static int resolve_selinux(
        struct cli *cli, struct spec *spec, const struct run_choices *choices, struct error *err)
{
    struct strv words = {.words = choices->selinux.words};
    struct selinux_labels labels = {0};
    int r = read_label_words(choices, &words, err);

    if (r < 0 || !selinux_enabled() || (!words.count && !choices->relabels.count))
        return r;
    if (choices->vm)
        return error_set(err, EOPNOTSUPP,
                "%s%s: a machine's workload is under its own kernel, which has no SELinux; leave "
                "it out, or use --isolation container",
                words.count ? "--security-opt label=" : "z or Z for ",
                words.count ? words.words[0] : choices->relabels.words[0]);
    r = selinux_labels_make(cli->arena, &words, choices->relabels.count, &labels, err);
    if (r < 0)
        return error_prefix(err, "labels of SELinux");
    if (labels.process)
        spec->process->selinuxLabel = labels.process;
    if (labels.file)
        spec->linux.mountLabel = labels.file;
    return 0;
}

static int resolve_labels(
        struct cli *cli, struct spec *spec, const struct run_choices *choices, struct error *err)
{
    if (choices->apparmor && !str_equal(choices->apparmor, "unconfined"))
        spec->process->apparmorProfile = choices->apparmor;
    return resolve_selinux(cli, spec, choices, err);
}

/* Our own pid 1 reaps orphans and passes signals on; it is bound into the sandbox read-only. */
static int resolve_init(struct cli *cli, struct spec *spec, struct error *err)
{
    struct strv args = {0};
    const char *word;
    const char *program;
    int r = install_find_program(cli->arena, "viv-init", &program, err);

    if (r < 0)
        return error_prefix(err, "--init");
    spec_add_mount(cli->arena, spec, INIT_INSIDE, "bind", program, "bind,ro,nosuid,nodev");
    strv_add(cli->arena, &args, INIT_INSIDE);
    strv_add(cli->arena, &args, "--");
    strv_foreach (word, &spec->process->args) {
        strv_add(cli->arena, &args, word);
    }
    spec->process->args = args;
    return 0;
}

/* A privileged sandbox may make control groups below its own. */
static void open_cgroups(struct arena *arena, struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct spec_mount *mount = &spec->mounts.items[i];
        struct strv kept = {0};
        const char *option;
        if (!str_equal(mount->type, "cgroup"))
            continue;
        strv_foreach (option, &mount->options) {
            if (!str_equal(option, "ro"))
                strv_add(arena, &kept, option);
        }
        mount->options = kept;
    }
}

/* With the host's IPC its message queues are shown, if the host has them mounted. */
static void drop_missing_queues(struct spec *spec)
{
    size_t kept = 0;

    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];
        bool queues = str_equal(mount->type, "bind") && str_equal(mount->source, "/dev/mqueue") &&
                      str_equal(mount->destination, "/dev/mqueue");
        if (!queues || access(mount->source, F_OK) == 0)
            spec->mounts.items[kept++] = *mount;
    }
    spec->mounts.count = kept;
}

/* ---- volumes --------------------------------------------------------------------------------- */

static bool has_destination(
        const struct spec *spec, const struct sandbox_meta *meta, const char *path)
{
    for (size_t i = 0; i < meta->volumes.count; i++)
        if (str_equal(meta->volumes.items[i].destination, path))
            return true;
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (str_equal(spec->mounts.items[i].destination, path))
            return true;
    return false;
}

/* Whose they are and what label they have, the other sandbox has said: this one's user and label
 * would take them from it. */
static struct strv with_access(struct arena *arena, const struct strv *options, const char *access)
{
    struct strv result = {0};
    const char *option;

    strv_foreach (option, options) {
        if (!str_equal(option, "U") && !str_equal(option, "z") && !str_equal(option, "Z"))
            strv_add(arena, &result, option);
    }
    if (str_equal(access, "ro"))
        strv_add(arena, &result, "rro");
    return result;
}

/* What another sandbox has mounted, where this one has nothing of its own. */
static int take_volumes_of(struct cli *cli, struct engine *engine, struct spec *spec,
        const char *word, struct sandbox_meta *meta, struct error *err)
{
    _cleanup_sandbox_ struct sandbox other = {.record_fd = -1};
    const char *colon = strrchr(word, ':');
    const char *access = colon ? colon + 1 : "rw";
    const char *name = colon ? arena_strndup(cli->arena, word, (size_t)(colon - word)) : word;
    struct spec *theirs = arena_new(cli->arena, struct spec);

    if (!str_equal(access, "ro") && !str_equal(access, "rw") && !str_equal(access, "z"))
        return error_set(
                err, EINVAL, "--volumes-from %s: write SANDBOX, SANDBOX:ro or SANDBOX:rw", word);
    if (str_equal(access, "z") && selinux_enabled())
        return error_set(err, EOPNOTSUPP,
                "--volumes-from %s: the labels are those of the other sandbox's -v: write z there",
                word);
    int r = engine_find(engine, name, &other, err);
    if (r == 0)
        r = engine_config(engine, &other, theirs, err);
    if (r < 0)
        return error_prefix(err, "--volumes-from");
    for (size_t i = 0; i < other.meta.volumes.count; i++) {
        const struct sandbox_volume *volume = &other.meta.volumes.items[i];
        if (has_destination(spec, meta, volume->destination))
            continue;
        struct sandbox_volume *own = RECORD_APPEND(cli->arena, &meta->volumes);
        *own = *volume;
        own->anonymous = false; /* it goes with the sandbox that it was made for */
        own->options = with_access(cli->arena, &volume->options, access);
    }
    for (size_t i = 0; i < theirs->mounts.count; i++) {
        const struct spec_mount *mount = &theirs->mounts.items[i];
        if (!str_equal(mount->type, "bind") || str_starts(mount->destination, "/dev/") ||
                has_destination(spec, meta, mount->destination))
            continue;
        struct strv options = with_access(cli->arena, &mount->options, access);
        spec_add_mount(cli->arena, spec, mount->destination, "bind", mount->source,
                strv_join(cli->arena, &options, ","));
    }
    return 0;
}

static int resolve_volumes(struct cli *cli, struct engine *engine, struct spec *spec,
        const struct run_choices *choices, struct sandbox_meta *meta, struct error *err)
{
    const char *word;
    int r = 0;

    for (size_t i = 0; i < choices->volumes.count && r == 0; i++) {
        const struct run_volume *volume = &choices->volumes.items[i];
        struct sandbox_volume *own = RECORD_APPEND(cli->arena, &meta->volumes);
        *own = (struct sandbox_volume){
                .name = volume->name ? volume->name : name_new_id(cli->arena),
                .destination = volume->destination,
                .options = volume->options,
                .copy = volume->copy,
                .anonymous = !volume->name};
        r = volume_check_name(own->name, err);
    }
    strv_foreach (word, &choices->volumes_from) {
        if (r == 0)
            r = take_volumes_of(cli, engine, spec, word, meta, err);
    }
    return r;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Starts come later, and from elsewhere. */
static const char *absolute(struct arena *arena, const char *path)
{
    char directory[4096];

    if (!path || path[0] == '/' || !getcwd(directory, sizeof(directory)))
        return path;
    return path_join(arena, directory, path);
}

static void fill_meta(struct cli *cli, const struct spec *spec, const struct run_choices *choices,
        struct sandbox_meta *meta)
{
    meta->name = choices->name;
    meta->image = choices->image    ? choices->image
                  : choices->rootfs ? choices->rootfs
                                    : choices->bundle;
    meta->command = spec->process->args;
    meta->entrypoint = choices->entrypoint;
    meta->labels = choices->labels;
    meta->isolation = choices->vm ? "vm" : "container";
    meta->accel = choices->accel;
    meta->portable = choices->portable;
    meta->kernel = choices->kernel;
    meta->stop_signal = choices->stop_signal
                                ? arena_strdup(cli->arena, signal_name(choices->stop_signal))
                                : NULL;
    meta->pidfile = absolute(cli->arena, choices->pidfile);
    meta->restart = choices->restart;
    meta->restart_max = choices->restart_max;
    meta->log = choices->log_driver;
    meta->log_options = choices->log_options;
    meta->health = (struct sandbox_check){.test = choices->health.test,
            .interval_ns = choices->health.interval,
            .timeout_ns = choices->health.timeout,
            .start_period_ns = choices->health.start_period,
            .start_interval_ns = choices->health.start_interval,
            .retries = (int)choices->health.retries,
            .on_failure = choices->health.on_failure};
    if (choices->stop_timeout.set)
        meta->stop_timeout = (int)(choices->stop_timeout.value / 1000000000);
    meta->tty = choices->tty;
    meta->interactive = choices->interactive;
    meta->bundle = choices->bundle;
    meta->user = choices->user;
    meta->cgroup_parent = choices->cgroup_parent;
    meta->cgroup_manager = choices->cgroup_manager;
    meta->unconfined_devices = choices->privileged;
    meta->cgroup_delegate = choices->privileged;
    meta->remove = choices->rm;
}

/* A machine's ids are its own: no other user namespace stands around them. */
static void drop_user_namespace(struct spec *spec)
{
    size_t kept = 0;

    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (!str_equal(spec->linux.namespaces.items[i].type, ns_kinds[NS_USER].oci))
            spec->linux.namespaces.items[kept++] = spec->linux.namespaces.items[i];
    spec->linux.namespaces.count = kept;
    spec->linux.uidMappings.count = spec->linux.gidMappings.count = 0;
}

int resolve_run(struct cli *cli, struct engine *engine, struct spec *spec,
        const struct run_choices *choices, const struct resolved_image *image,
        struct engine_run *ret, struct error *err)
{
    struct engine_run run = {.spec = spec,
            .detach = choices->detach,
            .detach_keys = choices->detach_keys,
            .preserve_fds = choices->preserve_fds};
    memcpy(run.attach, choices->attach, sizeof(run.attach));

    fill_meta(cli, spec, choices, &run.meta);
    run.meta.image_id = image->id;
    run.meta.image_folder = image->folder;
    int r = resolve_namespaces(cli, engine, spec, choices, &run.meta, err);
    if (choices->vm)
        drop_user_namespace(spec);
    if (r == 0)
        r = resolve_devices(cli->arena, spec, choices, err);
    drop_missing_queues(spec);
    if (choices->privileged)
        open_cgroups(cli->arena, spec);
    if (r == 0)
        r = resolve_volumes(cli, engine, spec, choices, &run.meta, err);
    if (r == 0)
        r = resolve_groups(cli, engine, spec, choices, &run.meta, err);
    if (r == 0)
        r = resolve_seccomp(cli, spec, choices, &run, err);
    if (r == 0)
        r = resolve_labels(cli, spec, choices, err);
    if (r == 0 && choices->init)
        r = resolve_init(cli, spec, err);
    if (r == 0)
        *ret = run;
    return r;
}
