#include "cgroup/resctrl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "plan/run.h"

#define USUAL_ROOT "/sys/fs/resctrl"
#define SCHEMATA_MAX 65536

static const struct field fields[] = {
        FIELD(struct resctrl_saved, group, FIELD_STR),
        FIELD(struct resctrl_saved, own, FIELD_BOOL),
        FIELD(struct resctrl_saved, monitor, FIELD_STR),
};
const struct record resctrl_saved_record = RECORD(struct resctrl_saved, fields);

struct group_args {
    struct resctrl_saved saved;
    struct strv lines;
    bool make; /* the group may be made when it is missing */
};

const char *resctrl_root(void)
{
    const char *root = getenv("RESCTRL_ROOT");

    return str_empty(root) ? USUAL_ROOT : root;
}

/* One write(2) for each line, as the kernel wants it. */
static int write_line(const char *group, const char *file, const char *line, struct error *err)
{
    char path[PATH_MAX], text[1024];

    snprintf(path, sizeof(path), "%s/%s", group, file);
    int length = snprintf(text, sizeof(text), "%s\n", line);
    if (length >= (int)sizeof(text))
        return error_set(err, E2BIG, "write %s: a line is longer than 1 KiB", path);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_sys(err, errno, "open %s", path);
    int r = io_write_all(fd, text, (size_t)length);
    return r < 0 ? error_sys_hint(err, -r, "see info/last_cmd_status beside it",
                           "write \"%s\" to %s", line, path)
                 : 0;
}

static int write_lines(const char *group, const struct strv *lines, struct error *err)
{
    const char *line;
    int r;

    strv_foreach (line, lines) {
        r = write_line(group, "schemata", line, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int enter(const char *group, pid_t pid, struct error *err)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    return write_line(group, "tasks", text, err);
}

/* "L3:0=f" without blanks and leading zeros is what the kernel shows for "L3: 0 = 0f". */
static void squeeze(const char *from, char *into, size_t size)
{
    size_t used = 0;

    for (; *from && used + 1 < size; from++) {
        bool after_sign =
                used && (into[used - 1] == '=' || into[used - 1] == ':' || into[used - 1] == ';');
        if (*from == ' ' || (*from == '0' && after_sign && from[1] && !strchr(";\n", from[1])))
            continue;
        into[used++] = *from;
    }
    into[used] = '\0';
}

/* A group that was there before is shared with others: it must say what is asked for. */
static int compare_lines(const char *group, const struct strv *lines, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = SCHEMATA_MAX};
    char path[PATH_MAX], wanted[1024], found[1024];
    const char *line;

    snprintf(path, sizeof(path), "%s/schemata", group);
    int r = io_read_file_at(AT_FDCWD, path, &text);
    if (r < 0)
        return error_sys(err, -r, "read %s", path);
    strv_foreach (line, lines) {
        _cleanup_free_ char *copy = strdup(buf_text(&text));
        char *rest = copy, *there;
        bool same = false;
        squeeze(line, wanted, sizeof(wanted));
        while ((there = strsep(&rest, "\n"))) {
            squeeze(there, found, sizeof(found));
            same = same || str_equal(found, wanted);
        }
        if (!same)
            return error_set(err, EEXIST,
                    "%s is there and does not hold the line \"%s\"; ask for what it holds, or take "
                    "another closID",
                    path, line);
    }
    return 0;
}

static int make_group(const struct group_args *args, struct error *err)
{
    const struct resctrl_saved *saved = &args->saved;

    if (!args->make)
        return compare_lines(saved->group, &args->lines, err);
    if (mkdir(saved->group, 0755) == 0)
        return write_lines(saved->group, &args->lines, err);
    if (errno == EEXIST)
        return compare_lines(saved->group, &args->lines, err);
    return error_sys_hint(err, errno,
            errno == ENOSPC ? "the CPU has no more classes; info/L3/num_closids tells how many"
                            : NULL,
            "make the resctrl group %s", saved->group);
}

static int group_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct group_args *args = step->args;
    int r = make_group(args, err);

    if (r == 0)
        r = enter(args->saved.group, run->child, err);
    if (r == 0 && args->saved.monitor) {
        r = io_make_dirs_at(AT_FDCWD, args->saved.monitor, 0755);
        if (r < 0)
            r = error_sys(err, -r, "make the monitoring group %s", args->saved.monitor);
        else
            r = enter(args->saved.monitor, run->child, err);
    }
    if (r < 0)
        resctrl_remove(&args->saved, NULL);
    return r;
}

static int group_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct group_args *args = step->args;

    (void)run;
    return resctrl_remove(&args->saved, err);
}

static void group_describe(const struct step *step, struct step_text *text)
{
    const struct group_args *args = step->args;
    const struct resctrl_saved *saved = &args->saved;
    const char *line;

    if (args->make)
        step_call(text, "mkdir(%s, 0755)", step_quote(text->arena, saved->group));
    strv_foreach (line, &args->lines) {
        step_call(text, "write(<schemata>, %s)", step_quote(text->arena, line));
    }
    step_call(text, "write(<tasks>, <child>)");
    if (saved->monitor) {
        step_call(text, "mkdir(%s, 0755)", step_quote(text->arena, saved->monitor));
        step_call(text, "write(<tasks>, <child>)");
    }
    step_why(text, "A share of the cache and of the memory's bandwidth.");
}

static const struct step_ops group_ops = {
        .name = "resctrl",
        .manual = "mkdir(2)",
        .apply = group_apply,
        .undo = group_undo,
        .describe = group_describe,
};

/* A name is one part of a path. */
static int check_name(const char *name, struct error *err)
{
    if (strchr(name, '/') || str_equal(name, ".") || str_equal(name, "..") ||
            str_equal(name, "info") || str_equal(name, "mon_groups") || str_equal(name, "mon_data"))
        return error_set(err, EINVAL, "\"%s\" cannot be the name of a resctrl group", name);
    return 0;
}

int resctrl_add(struct plan *plan, const struct resctrl_request *request, struct resctrl_saved *ret,
        struct error *err)
{
    struct arena *arena = plan->arena;
    struct group_args *args = arena_new(arena, struct group_args);
    bool whole = str_equal(request->clos_id, "/");
    const char *name = str_empty(request->clos_id) ? request->id : request->clos_id;
    char schemata[PATH_MAX];

    snprintf(schemata, sizeof(schemata), "%s/schemata", request->root);
    if (access(schemata, F_OK) < 0)
        return error_set(err, EOPNOTSUPP,
                "intelRdt: no resctrl file system at %s: the CPU or the kernel has none, or it is "
                "not mounted (mount -t resctrl resctrl %s)",
                request->root, request->root);
    int r = whole ? 0 : check_name(name, err);
    if (r < 0)
        return r;
    args->lines = request->lines;
    args->saved.group = whole ? request->root : path_join(arena, request->root, name);
    args->saved.own = str_empty(request->clos_id);
    args->make = !whole && (args->saved.own || request->lines.count);
    if (request->monitor)
        args->saved.monitor =
                arena_printf(arena, "%s/mon_groups/%s", args->saved.group, request->id);
    if (!args->make && access(args->saved.group, F_OK) < 0)
        return error_set(err, ENOENT,
                "intelRdt: there is no group %s, and no schemata to make it with",
                args->saved.group);
    plan_add(plan, STEP_HOST, &group_ops, "/linux/intelRdt", args);
    *ret = args->saved;
    return 0;
}

int resctrl_update(const struct resctrl_saved *saved, const struct strv *lines, struct error *err)
{
    if (!saved->group)
        return error_set(err, EINVAL,
                "the container was made without intelRdt: it has no resctrl group to change");
    return write_lines(saved->group, lines, err);
}

/* resctrl's own directories go by one rmdir(2), whatever files show in them. */
static int remove_one(const char *path, struct error *err)
{
    int r = rmdir(path) < 0 ? -errno : 0;

    if (r == -ENOTEMPTY)
        r = io_remove_tree_at(AT_FDCWD, path);
    return r < 0 && r != -ENOENT ? error_sys(err, -r, "remove the resctrl group %s", path) : 0;
}

int resctrl_remove(const struct resctrl_saved *saved, struct error *err)
{
    int r = saved->monitor ? remove_one(saved->monitor, err) : 0;

    return r < 0 || !saved->own ? r : remove_one(saved->group, err);
}
