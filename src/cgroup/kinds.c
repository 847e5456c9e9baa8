#include "cgroup/kinds.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/devices.h"
#include "cgroup/procs.h"
#include "plan/run.h"
#include "sys/cgroup.h"
#include "sys/mount.h"

static void tell_write(struct step_text *text, const char *path, const char *value)
{
    step_call(text, "openat(AT_FDCWD, %s, O_WRONLY|O_CLOEXEC)", step_quote(text->arena, path));
    step_call(text, "write(<%s>, %s, %zu)", path_base(path), step_quote(text->arena, value),
            strlen(value));
}

/* What is opened for entering: `tasks` on v1, the directory on v2. */
static const char *enter_path(const struct cgroup_mkdir_args *args, char path[PATH_MAX])
{
    if (args->unified)
        return args->path;
    snprintf(path, PATH_MAX, "%s/tasks", args->path);
    return path;
}

static int open_enter(const struct cgroup_mkdir_args *args, struct plan_run *run, struct error *err)
{
    char path[PATH_MAX];

    if (args->slot < 0)
        return 0;
    const char *name = enter_path(args, path);
    int fd = sys_cgroup_open(name, args->unified ? O_PATH | O_DIRECTORY : O_WRONLY);
    if (fd < 0)
        return error_sys(err, -fd, "open %s", name);
    run->fds[args->slot] = fd;
    return 0;
}

/* A parent that another sandbox's end took away after the plan was made is made once more. */
static int make_dir(const struct cgroup_mkdir_args *args)
{
    int r = sys_mkdirat(AT_FDCWD, args->path, 0755);

    for (int tries = 0; r == -ENOENT && tries < 3; tries++) {
        r = io_make_dirs_at(AT_FDCWD, args->path, 0755);
    }
    return r;
}

static int mkdir_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_mkdir_args *args = step->args;
    int r = make_dir(args);

    if (r == -EEXIST && (args->shared || args->may_exist))
        r = 0;
    if (r < 0)
        error_sys(err, -r, "make the cgroup %s", args->path);
    if (r == -EACCES || r == -EPERM)
        error_append(err, "; this user may not make cgroups there; let systemd delegate one "
                          "(systemd-run --user --scope -p Delegate=yes), or run as root");
    if (r == -EAGAIN)
        error_append(err, "; cgroup.max.descendants or cgroup.max.depth above it is reached");
    if (r < 0)
        return r;
    r = open_enter(args, run, err);
    if (r < 0 && !args->shared && !args->may_exist)
        sys_cgroup_rmdir(args->path);
    return r;
}

static int mkdir_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_mkdir_args *args = step->args;

    if (args->slot >= 0)
        cleanup_close(&run->fds[args->slot]);
    if (!args->shared)
        return cgroup_remove_tree(args->path, cgroup_now_us() + CGROUP_UNDO_WAIT_US, err);
    sys_cgroup_rmdir(args->path); /* stays when others use it */
    return 0;
}

static void tell_open(const struct cgroup_mkdir_args *args, struct step_text *text)
{
    char path[PATH_MAX];

    if (args->slot >= 0)
        step_call(text, "openat(AT_FDCWD, %s, %s|O_CLOEXEC)",
                step_quote(text->arena, enter_path(args, path)),
                args->unified ? "O_PATH|O_DIRECTORY" : "O_WRONLY");
}

/* What the hierarchy's controllers do for the sandbox; one without any is systemd's. */
static void tell_purposes(uint32_t controllers, struct step_text *text)
{
    struct strv purposes = {0};

    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        if (controllers & (1U << i))
            strv_add(text->arena, &purposes, cgroup_controller_purpose(i));
    if (purposes.count)
        step_why(text, "A control group of the sandbox's own: %s.",
                strv_join(text->arena, &purposes, ", "));
    else
        step_why(text, "A control group of the sandbox's own that limits nothing: it tells which "
                       "processes belong together.");
}

static void mkdir_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_mkdir_args *args = step->args;

    step_call(text, "mkdirat(AT_FDCWD, %s, 0755)", step_quote(text->arena, args->path));
    tell_open(args, text);
    if (args->shared)
        step_why(text, "The sandbox's control group is made below this one.");
    else
        tell_purposes(args->controllers, text);
}

static const struct field mkdir_fields[] = {
        FIELD(struct cgroup_mkdir_args, path, FIELD_STR),
        FIELD(struct cgroup_mkdir_args, shared, FIELD_BOOL),
        FIELD_AS(struct cgroup_mkdir_args, may_exist, "mayExist", FIELD_BOOL),
        FIELD(struct cgroup_mkdir_args, slot, FIELD_I32),
        FIELD(struct cgroup_mkdir_args, unified, FIELD_BOOL),
        FIELD(struct cgroup_mkdir_args, controllers, FIELD_U32),
};
static const struct record mkdir_record = RECORD(struct cgroup_mkdir_args, mkdir_fields);

const struct step_ops cgroup_mkdir_ops = {
        "mkdir", "cgroups(7)", mkdir_apply, mkdir_undo, mkdir_describe, &mkdir_record};

static int open_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    return open_enter(step->args, run, err);
}

static void open_describe(const struct step *step, struct step_text *text)
{
    tell_open(step->args, text);
    step_why(text, "Opened here, so that the new process can enter the control group as its "
                   "first act.");
}

const struct step_ops cgroup_open_ops = {
        "open", "cgroups(7)", open_apply, NULL, open_describe, &mkdir_record};

static int write_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return cgroup_write_apply(step->args, err);
}

static void write_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_write *write = step->args;

    tell_write(text, path_join(text->arena, write->dir, write->file), write->value);
    if (!*write->because)
        step_why(text, "A v1 cpuset takes no process before it has CPUs and memory nodes; these "
                       "are the parent's.");
    else
        step_why(text, "Sets the limit %s of the control group.", write->because);
}

static const struct field write_fields[] = {
        FIELD(struct cgroup_write, because, FIELD_STR),
        FIELD(struct cgroup_write, dir, FIELD_STR),
        FIELD(struct cgroup_write, file, FIELD_STR),
        FIELD(struct cgroup_write, value, FIELD_STR),
        FIELD_AS(struct cgroup_write, other_file, "otherFile", FIELD_STR),
        FIELD_AS(struct cgroup_write, other_value, "otherValue", FIELD_STR),
        FIELD_AS(struct cgroup_write, missing_ok, "missingOk", FIELD_BOOL),
        FIELD(struct cgroup_write, verify, FIELD_BOOL),
};
static const struct record write_record = RECORD(struct cgroup_write, write_fields);

const struct step_ops cgroup_write_ops = {
        "write", "cgroups(7)", write_apply, NULL, write_describe, &write_record};

/* One by one after all at once was refused: the kernel may lack what nobody asked for. */
static int enable_each(const struct cgroup_enable_args *args, struct error *err)
{
    char words[512];
    char *rest = words;
    char *word;

    snprintf(words, sizeof(words), "%s", args->text);
    while ((word = strsep(&rest, " "))) {
        struct cgroup_write write = {
                CGROUP_CONTROLLERS, "", args->dir, "cgroup.subtree_control", word};
        bool required = strstr(args->required, word);
        int r = cgroup_write_apply(&write, required ? err : NULL);
        if (r < 0 && required)
            return r;
    }
    return 0;
}

static int enable_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_enable_args *args = step->args;
    struct cgroup_write write = {
            CGROUP_CONTROLLERS, "", args->dir, "cgroup.subtree_control", args->text};

    (void)run;
    return cgroup_write_apply(&write, NULL) < 0 ? enable_each(args, err) : 0;
}

static void enable_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_enable_args *args = step->args;

    tell_write(text, path_join(text->arena, args->dir, "cgroup.subtree_control"), args->text);
    step_why(text, "A v2 cgroup has only the controllers that the one above enables for it. They "
                   "stay enabled afterwards, since others may rely on them by then.");
}

static const struct field enable_fields[] = {
        FIELD(struct cgroup_enable_args, dir, FIELD_STR),
        FIELD(struct cgroup_enable_args, text, FIELD_STR),
        FIELD(struct cgroup_enable_args, required, FIELD_STR),
};
static const struct record enable_record = RECORD(struct cgroup_enable_args, enable_fields);

const struct step_ops cgroup_enable_ops = {
        "write", "cgroups(7)", enable_apply, NULL, enable_describe, &enable_record};

static int move_pid(pid_t pid, void *data)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    int r = sys_cgroup_write(data, text);
    return r == -ESRCH ? 0 : r;
}

static int evacuate_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_evacuate_args *args = step->args;
    char leaf[PATH_MAX], procs[PATH_MAX];

    (void)run;
    snprintf(leaf, sizeof(leaf), "%s/%s", args->dir, args->leaf);
    if (snprintf(procs, sizeof(procs), "%s/cgroup.procs", leaf) >= (int)sizeof(procs))
        return error_set(err, ENAMETOOLONG, "%s: the path is too long", leaf);
    int r = sys_mkdirat(AT_FDCWD, leaf, 0755);
    if (r < 0 && r != -EEXIST)
        return error_sys(err, -r, "make the cgroup %s for the processes of %s", leaf, args->dir);
    for (int round = 0; round < 16; round++) { /* they may fork meanwhile */
        r = cgroup_each_pid(args->dir, move_pid, procs);
        if (r < 0)
            return error_sys(err, -r,
                    "move the processes of %s into %s (a v2 cgroup with processes of its own may "
                    "not have controllers enabled below it)",
                    args->dir, leaf);
        if (cgroup_has_process(args->dir) == 0)
            return 0;
    }
    return error_set(err, EBUSY, "%s: new processes keep appearing in it", args->dir);
}

static void evacuate_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_evacuate_args *args = step->args;
    const char *leaf = path_join(text->arena, args->dir, args->leaf);

    step_call(text, "mkdirat(AT_FDCWD, %s, 0755)", step_quote(text->arena, leaf));
    step_call(text, "openat(AT_FDCWD, %s, O_WRONLY|O_CLOEXEC)",
            step_quote(text->arena, path_join(text->arena, leaf, "cgroup.procs")));
    step_call(text, "write(<cgroup.procs>, <each process>)");
    step_why(text, "This subtree was given to us with ourselves inside its top; a v2 cgroup with "
                   "processes of its own may not limit those below it, so they move down first.");
}

const struct step_ops cgroup_evacuate_ops = {
        "evacuate", "cgroups(7)", evacuate_apply, NULL, evacuate_describe, NULL};

static int descend_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_descend_args *args = step->args;
    char procs[PATH_MAX];
    int r = sys_mkdirat(AT_FDCWD, args->dir, 0755);

    if (r < 0 && r != -EEXIST)
        return error_sys(err, -r, "make the cgroup %s", args->dir);
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", args->dir);
    r = move_pid(run->child, procs);
    return r < 0 ? error_sys(err, -r, "move the process %d into %s", run->child, args->dir) : 0;
}

static void descend_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_descend_args *args = step->args;

    step_call(text, "mkdirat(AT_FDCWD, %s, 0755)", step_quote(text->arena, args->dir));
    step_call(text, "openat(AT_FDCWD, %s, O_WRONLY|O_CLOEXEC)",
            step_quote(text->arena, path_join(text->arena, args->dir, "cgroup.procs")));
    step_call(text, "write(<cgroup.procs>, <child>)");
    step_why(text, "An annotation asks for a group of this name below. It goes with the one above "
                   "when that is taken back.");
}

const struct step_ops cgroup_descend_ops = {
        "descend", "cgroups(7)", descend_apply, NULL, descend_describe, NULL};

static const char *const delegated[] = {
        "", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"};

static int delegate_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_delegate_args *args = step->args;
    char path[PATH_MAX];

    (void)run;
    for (size_t i = 0; i < ARRAY_SIZE(delegated); i++) {
        snprintf(path, sizeof(path), "%s%s", args->dir, delegated[i]);
        int r = sys_fchownat(AT_FDCWD, path, args->uid, args->gid, AT_SYMLINK_NOFOLLOW);
        if (r < 0)
            return error_sys(err, -r, "give %s to the user %u", path, args->uid);
    }
    return 0;
}

static void delegate_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_delegate_args *args = step->args;

    for (size_t i = 0; i < ARRAY_SIZE(delegated); i++)
        step_call(text, "fchownat(AT_FDCWD, %s, %u, %u, AT_SYMLINK_NOFOLLOW)",
                step_quote(text->arena, arena_printf(text->arena, "%s%s", args->dir, delegated[i])),
                args->uid, args->gid);
    step_why(text, "Delegation: the sandbox's root may make cgroups below its own, whose limits it "
                   "cannot change.");
}

static const struct field delegate_fields[] = {
        FIELD(struct cgroup_delegate_args, dir, FIELD_STR),
        FIELD(struct cgroup_delegate_args, uid, FIELD_U32),
        FIELD(struct cgroup_delegate_args, gid, FIELD_U32),
};
static const struct record delegate_record = RECORD(struct cgroup_delegate_args, delegate_fields);

const struct step_ops cgroup_delegate_ops = {
        "chown", "cgroups(7)", delegate_apply, NULL, delegate_describe, &delegate_record};

static int device_lines_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_device_lines_args *args = step->args;

    (void)run;
    return cgroup_devices_write(args->dir, &args->lines, err);
}

static void device_lines_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_device_lines_args *args = step->args;
    char *line;

    strv_foreach (line, &args->lines) {
        const char *value = strchr(line, ' ') + 1;
        const char *file = arena_strndup(text->arena, line, (size_t)(value - line - 1));
        tell_write(text, path_join(text->arena, args->dir, file), value);
    }
    step_why(text, "Which devices may be opened or made, whatever the file's mode says.");
}

static const struct field device_lines_fields[] = {
        FIELD(struct cgroup_device_lines_args, dir, FIELD_STR),
        FIELD(struct cgroup_device_lines_args, lines, FIELD_STRV),
};
static const struct record device_lines_record =
        RECORD(struct cgroup_device_lines_args, device_lines_fields);

const struct step_ops cgroup_device_lines_ops = {"write", "cgroups(7)", device_lines_apply, NULL,
        device_lines_describe, &device_lines_record};

static int device_program_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_device_program_args *args = step->args;

    (void)run;
    return cgroup_devices_attach(args->dir, args->program, args->count, args->loaded, false, err);
}

static void device_program_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_device_program_args *args = step->args;

    step_call(text, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC|O_DIRECTORY)",
            step_quote(text->arena, args->dir));
    step_call(text,
            "bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt=%zu, "
            "insns=<device rules>, license=\"Apache-2.0\"}, %zu)",
            args->count, sizeof(union bpf_attr));
    step_call(text,
            "bpf(BPF_PROG_ATTACH, {target_fd=<cgroup>, attach_bpf_fd=<program>, "
            "attach_type=BPF_CGROUP_DEVICE, attach_flags=BPF_F_ALLOW_MULTI}, %zu)",
            sizeof(union bpf_attr));
    step_why(text, "Which devices may be opened or made, whatever the file's mode says; cgroup v2 "
                   "asks a small program made from the rules.");
}

const struct step_ops cgroup_device_program_ops = {
        "bpf", "bpf(2)", device_program_apply, NULL, device_program_describe, NULL};

static int attach_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_attach_args *args = step->args;

    for (size_t i = 0; i < args->count; i++) {
        int r = sys_cgroup_write_fd(run->fds[args->slots[i]], "0");
        if (r < 0)
            return error_sys(err, -r, "enter the cgroup: write \"0\" to %s", args->paths[i]);
        cleanup_close(&run->fds[args->slots[i]]);
    }
    return 0;
}

static void attach_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_attach_args *args = step->args;

    for (size_t i = 0; i < args->count; i++)
        step_call(text, "write(<%s>, \"0\", 1)", args->paths[i]);
    step_why(text, "The process enters its control groups itself, by itself alone, which costs no "
                   "wait in the kernel.");
}

const struct step_ops cgroup_attach_ops = {
        "attach", "cgroups(7)", attach_apply, NULL, attach_describe, NULL};
