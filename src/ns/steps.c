#include "ns/steps.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "plan/run.h"
#include "sys/proc.h"
#include "sys/process.h"
#include "sys/program.h"

/* How a write through a procfs handle reads in a description. */
static void call_proc_write(struct step_text *text, const char *name, const char *value)
{
    step_call(text, "openat2(<proc>, %s, {flags=O_WRONLY|O_CLOEXEC, resolve=%s}, 24)",
            step_quote(text->arena, name), SYS_PROC_RESOLVE_TEXT);
    step_call(text, "write(<fd>, %s, %zu)", step_quote(text->arena, value), strlen(value));
}

/* Id maps. */

static int map_error(struct error *err, int errnum, pid_t pid, const char *file, const char *lines)
{
    error_sys(err, errnum, "write /proc/%d/%s \"%s\"", pid, file, lines);
    if (errnum == EPERM)
        error_append(err, "; an ordinary user may map the own id alone, or the ranges of "
                          "/etc/subuid and /etc/subgid through newuidmap(1)");
    return -errnum;
}

static int write_map(int proc, pid_t pid, const char *file, const char *lines, struct error *err)
{
    char name[64];

    snprintf(name, sizeof(name), "%d/%s", pid, file);
    int r = sys_proc_write(proc, name, lines);
    return r < 0 ? map_error(err, -r, pid, file, lines) : 0;
}

static int write_maps_direct(const struct ns_id_maps *maps, pid_t pid, struct error *err)
{
    _cleanup_buf_ struct buf uids = {0};
    _cleanup_buf_ struct buf gids = {0};
    _cleanup_close_ int proc = sys_proc_open_shared(err);

    if (proc < 0)
        return proc;
    id_maps_text(&maps->uids, &uids);
    id_maps_text(&maps->gids, &gids);
    int r = write_map(proc, pid, "uid_map", buf_text(&uids), err);
    if (r == 0 && maps->deny_setgroups)
        r = write_map(proc, pid, "setgroups", "deny", err);
    return r < 0 ? r : write_map(proc, pid, "gid_map", buf_text(&gids), err);
}

#define HELPER_WORDS (2 + 3 * ID_MAPS_MAX + 1)

/* The helper's arguments: its name, the pid, then three numbers for each line. */
static void helper_words(const struct id_maps *maps, const char *pid, struct arena *arena,
        const char *name, struct strv *words)
{
    strv_add(arena, words, name);
    strv_add(arena, words, pid);
    for (size_t i = 0; i < maps->count && words->count + 3 < HELPER_WORDS; i++) {
        strv_add(arena, words, arena_printf(arena, "%u", maps->items[i].inside));
        strv_add(arena, words, arena_printf(arena, "%u", maps->items[i].outside));
        strv_add(arena, words, arena_printf(arena, "%u", maps->items[i].count));
    }
}

/* Runs newuidmap or newgidmap; what it says is our error's text. */
static int run_helper(const char *name, const struct id_maps *maps, pid_t target, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf said = {.max = 1024};
    struct strv words = {0};

    helper_words(maps, arena_printf(&arena, "%d", target), &arena, name, &words);
    struct program program = {.path = name, .words = &words, .input = PROGRAM_NOTHING};
    int r = program_run(&program, &said);
    if (r < 0)
        return error_sys_hint(err, -r, "install the package uidmap",
                "run %s, which maps the ids of an ordinary user", name);
    if (r == 0)
        return 0;
    return error_set(err, EPERM, "%s refused: %.*s; allow the ids in /etc/sub%cid",
            strv_join(&arena, &words, " "), (int)strcspn(buf_text(&said), "\n"), buf_text(&said),
            name[3]);
}

int ns_write_id_maps(const struct ns_id_maps *maps, pid_t pid, struct error *err)
{
    if (maps->writer == NS_MAP_DIRECT)
        return write_maps_direct(maps, pid, err);
    int r = run_helper("newuidmap", &maps->uids, pid, err);
    return r < 0 ? r : run_helper("newgidmap", &maps->gids, pid, err);
}

static int id_maps_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    return ns_write_id_maps(step->args, run->child, err);
}

static void describe_helper(struct step_text *text, const char *name, const struct id_maps *maps)
{
    struct strv words = {0};

    helper_words(maps, "<child>", text->arena, name, &words);
    step_call(text, "execve(\"%s\", [\"%s\"])", name, strv_join(text->arena, &words, "\", \""));
}

static void id_maps_describe(const struct step *step, struct step_text *text)
{
    const struct ns_id_maps *maps = step->args;
    _cleanup_buf_ struct buf uids = {0};
    _cleanup_buf_ struct buf gids = {0};

    step_why(text, "ids inside are other ids outside, so root inside is nobody special outside");
    if (maps->writer == NS_MAP_HELPERS) {
        describe_helper(text, "newuidmap", &maps->uids);
        describe_helper(text, "newgidmap", &maps->gids);
        return;
    }
    id_maps_text(&maps->uids, &uids);
    id_maps_text(&maps->gids, &gids);
    step_call(text, "openat2(AT_FDCWD, \"/proc\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC}, 24)");
    step_call(text, "fstatfs(<proc>)");
    step_call(text, "fstat(<proc>)");
    call_proc_write(text, "<child>/uid_map", buf_text(&uids));
    if (maps->deny_setgroups)
        call_proc_write(text, "<child>/setgroups", "deny");
    call_proc_write(text, "<child>/gid_map", buf_text(&gids));
}

static const struct step_ops id_maps_ops = {
        "uid_map", "user_namespaces(7)", id_maps_apply, NULL, id_maps_describe, NULL};

void ns_add_id_maps(struct plan *plan, const struct ns_id_maps *maps, const char *because)
{
    plan_add(
            plan, STEP_HOST, &id_maps_ops, because, arena_memdup(plan->arena, maps, sizeof(*maps)));
}

/* Root of the user namespace. */

struct become_root {
    bool keep_groups;
};

static int become_root_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct become_root *root = step->args;

    (void)run;
    int r = sys_setresgid(0, 0, 0);
    if (r < 0)
        return error_sys(err, -r, "become group 0 of the user namespace; is it mapped?");
    r = root->keep_groups ? 0 : sys_setgroups(0, NULL);
    if (r < 0)
        return error_sys(err, -r, "drop the supplementary groups");
    r = sys_setresuid(0, 0, 0);
    return r < 0 ? error_sys(err, -r, "become user 0 of the user namespace; is it mapped?") : 0;
}

static void become_root_describe(const struct step *step, struct step_text *text)
{
    const struct become_root *root = step->args;

    step_call(text, "setresgid(0, 0, 0)");
    if (!root->keep_groups)
        step_call(text, "setgroups(0, NULL)");
    step_call(text, "setresuid(0, 0, 0)");
    step_why(text, "what follows is made by, and belongs to, root of the user namespace");
}

static const struct step_ops become_root_ops = {
        "setresuid", "setresuid(2)", become_root_apply, NULL, become_root_describe, NULL};

void ns_add_become_root(struct plan *plan, bool keep_groups, const char *because)
{
    struct become_root *root = arena_new(plan->arena, struct become_root);

    root->keep_groups = keep_groups;
    plan_add(plan, STEP_CHILD, &become_root_ops, because, root);
}

/* unshare(2). */

struct unshare_args {
    uint64_t flags;
};

static int unshare_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct unshare_args *args = step->args;
    char flags[NS_FLAGS_TEXT_MAX];

    (void)run;
    int r = sys_unshare(args->flags);
    if (r == 0)
        return 0;
    return error_sys_hint(err, -r,
            r == -ENOSPC ? "their number is limited by /proc/sys/user/max_*_namespaces" : NULL,
            "make new namespaces (%s)", ns_flags_text(args->flags, flags));
}

static void unshare_describe(const struct step *step, struct step_text *text)
{
    const struct unshare_args *args = step->args;
    char flags[NS_FLAGS_TEXT_MAX];

    step_call(text, "unshare(%s)", ns_flags_text(args->flags, flags));
    int kind = ns_kind_from_flag(args->flags);
    if (kind >= 0)
        step_why(text, "%s", ns_kinds[kind].gives);
    else
        step_why(text, "new namespaces that belong to the user namespace joined before");
}

static const struct step_ops unshare_ops = {
        "unshare", "unshare(2)", unshare_apply, NULL, unshare_describe, NULL};

void ns_add_unshare(struct plan *plan, uint64_t flags, const char *because)
{
    struct unshare_args *args = arena_new(plan->arena, struct unshare_args);

    args->flags = flags;
    if (flags)
        plan_add(plan, STEP_CHILD, &unshare_ops, because, args);
}

void ns_add_unshare_cgroup(struct plan *plan, const char *because)
{
    ns_add_unshare(plan, CLONE_NEWCGROUP, because);
}

/* The time namespace. */

struct time_args {
    const char *lines; /* "monotonic 60 0\nboottime 60 0\n"; "" for none */
    int proc_slot;
};

static int enter_time(int proc, struct error *err)
{
    _cleanup_close_ int fd = sys_proc_open_ns(proc, "self", "time_for_children");

    if (fd < 0)
        return error_sys(err, -fd, "open /proc/self/ns/time_for_children");
    int r = sys_setns(fd, CLONE_NEWTIME);
    return r < 0 ? error_sys(err, -r, "enter the new time namespace") : 0;
}

static int time_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct time_args *args = step->args;
    int proc = run->fds[args->proc_slot];
    int r = sys_unshare(CLONE_NEWTIME);

    if (r < 0)
        return error_sys_hint(err, -r,
                r == -EINVAL ? "this kernel has none (CONFIG_TIME_NS, Linux 5.6)" : NULL,
                "make a time namespace");
    r = *args->lines ? sys_proc_write(proc, "self/timens_offsets", args->lines) : 0;
    if (r < 0)
        return error_sys_hint(err, -r,
                r == -ERANGE ? "no clock may start below 0 or beyond 146 years" : NULL,
                "set the clock offsets \"%s\"", args->lines);
    return enter_time(proc, err);
}

static void time_describe(const struct step *step, struct step_text *text)
{
    const struct time_args *args = step->args;

    step_call(text, "unshare(CLONE_NEWTIME)");
    if (*args->lines)
        call_proc_write(text, "self/timens_offsets", args->lines);
    step_call(text,
            "openat2(<proc>, \"self/ns\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, "
            "resolve=%s}, 24)",
            SYS_PROC_RESOLVE_TEXT);
    step_call(text, "openat2(<ns>, \"time_for_children\", {flags=O_RDONLY|O_CLOEXEC}, 24)");
    step_call(text, "setns(<time>, CLONE_NEWTIME)");
    step_why(text, "%s", ns_kinds[NS_TIME].gives);
}

static const struct step_ops time_ops = {
        "timens", "time_namespaces(7)", time_apply, NULL, time_describe, NULL};

void ns_add_time(struct plan *plan, const struct ns_clock_offset *offsets, size_t count,
        int proc_slot, const char *because)
{
    struct time_args *args = arena_new(plan->arena, struct time_args);
    _cleanup_buf_ struct buf lines = {0};

    for (size_t i = 0; i < count; i++)
        buf_printf(&lines, "%s %lld %u\n", offsets[i].clock, (long long)offsets[i].seconds,
                offsets[i].nanoseconds);
    args->lines = arena_strdup(plan->arena, buf_text(&lines));
    args->proc_slot = proc_slot;
    plan_add(plan, STEP_CHILD, &time_ops, because, args);
}

/* Names. */

struct name_args {
    const char *name;
};

static int hostname_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct name_args *args = step->args;

    (void)run;
    int r = sys_sethostname(args->name);
    return r < 0 ? error_sys(err, -r, "set the host name \"%s\" (at most 64 bytes)", args->name)
                 : 0;
}

static void hostname_describe(const struct step *step, struct step_text *text)
{
    const struct name_args *args = step->args;

    step_call(
            text, "sethostname(%s, %zu)", step_quote(text->arena, args->name), strlen(args->name));
    step_why(text, "the host name that the workload sees");
}

static int domainname_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct name_args *args = step->args;

    (void)run;
    int r = sys_setdomainname(args->name);
    return r < 0 ? error_sys(err, -r, "set the domain name \"%s\" (at most 64 bytes)", args->name)
                 : 0;
}

static void domainname_describe(const struct step *step, struct step_text *text)
{
    const struct name_args *args = step->args;

    step_call(text, "setdomainname(%s, %zu)", step_quote(text->arena, args->name),
            strlen(args->name));
    step_why(text, "the NIS domain name that the workload sees");
}

static const struct field name_fields[] = {FIELD(struct name_args, name, FIELD_STR)};
static const struct record name_record = RECORD(struct name_args, name_fields);
static const struct step_ops hostname_ops = {
        "sethostname", "sethostname(2)", hostname_apply, NULL, hostname_describe, &name_record};
static const struct step_ops domainname_ops = {"setdomainname", "setdomainname(2)",
        domainname_apply, NULL, domainname_describe, &name_record};

static void add_name(
        struct plan *plan, const struct step_ops *ops, const char *name, const char *because)
{
    struct name_args *args = arena_new(plan->arena, struct name_args);

    args->name = name;
    plan_add(plan, STEP_CHILD, ops, because, args);
}

void ns_add_hostname(struct plan *plan, const char *name, const char *because)
{
    add_name(plan, &hostname_ops, name, because);
}

void ns_add_domainname(struct plan *plan, const char *name, const char *because)
{
    add_name(plan, &domainname_ops, name, because);
}

/* Sysctls. */

struct sysctl_args {
    const char *key;  /* as configured */
    const char *file; /* "sys/net/ipv4/ip_forward" */
    const char *value;
    int proc_slot;
};

/* Which sysctls belong to which namespace; longest prefixes do not matter, none overlaps. */
static const struct {
    const char *prefix;
    enum ns_kind kind;
} sysctl_owners[] = {
        {"net/", NS_NET},
        {"fs/mqueue/", NS_IPC},
        {"kernel/msg", NS_IPC},
        {"kernel/sem", NS_IPC},
        {"kernel/shm", NS_IPC},
        {"kernel/hostname", NS_UTS},
        {"kernel/domainname", NS_UTS},
        {"kernel/ns_last_pid", NS_PID},
        {"kernel/pid_max", NS_PID},
        {"user/", NS_USER},
};

/* sysctl(8): the first separator decides; with dots, a slash stands for a dot in a name. */
static const char *sysctl_file(struct arena *arena, const char *key)
{
    char *file = arena_printf(arena, "sys/%s", key);
    const char *first = strpbrk(key, "./");

    if (!first || *first == '/')
        return file;
    for (char *at = file + 4; *at; at++) {
        if (*at == '.')
            *at = '/';
        else if (*at == '/')
            *at = '.';
    }
    return file;
}

int ns_sysctl_check(const struct ns_set *set, const char *key, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *file = sysctl_file(&arena, key) + strlen("sys/");

    if (!*key || strstr(file, "..") || *file == '/')
        return error_set(err, EINVAL, "sysctl \"%s\": that is no name of a sysctl", key);
    for (size_t i = 0; i < ARRAY_SIZE(sysctl_owners); i++) {
        if (!str_starts(file, sysctl_owners[i].prefix))
            continue;
        const struct ns_kind_info *info = &ns_kinds[sysctl_owners[i].kind];
        if (set->of[sysctl_owners[i].kind].mode != NS_HOST)
            return 0;
        return error_set(err, EINVAL,
                "sysctl \"%s\" belongs to the %s namespace, and the sandbox shares the host's: it "
                "would change the host; give it a %s namespace of its own",
                key, info->name, info->name);
    }
    return error_set(err, EINVAL,
            "sysctl \"%s\" belongs to no namespace: it would change the whole host; set it there "
            "with sysctl(8)",
            key);
}

static int sysctl_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct sysctl_args *args = step->args;
    int r = sys_proc_write(run->fds[args->proc_slot], args->file, args->value);

    if (r == 0)
        return 0;
    return error_sys_hint(err, -r,
            r == -ENOENT ? "this kernel, or this namespace, does not have it" : NULL,
            "set sysctl %s to \"%s\" (/proc/%s)", args->key, args->value, args->file);
}

static void sysctl_describe(const struct step *step, struct step_text *text)
{
    const struct sysctl_args *args = step->args;

    call_proc_write(text, args->file, args->value);
    step_why(text, "a kernel setting of the sandbox's own namespace");
}

static const struct step_ops sysctl_ops = {
        "sysctl", "sysctl(8)", sysctl_apply, NULL, sysctl_describe, NULL};

void ns_add_sysctl(
        struct plan *plan, const char *key, const char *value, int proc_slot, const char *because)
{
    struct sysctl_args *args = arena_new(plan->arena, struct sysctl_args);

    *args = (struct sysctl_args){key, sysctl_file(plan->arena, key), value, proc_slot};
    plan_add(plan, STEP_CHILD, &sysctl_ops, because, args);
}
