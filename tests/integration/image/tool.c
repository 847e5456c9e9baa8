/* A small program for the tests: each function of image.h as a command. Results on standard output,
 * one line each; progress and errors on standard error; exit status 1 for an error. */
#include "image/image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs/overlay.h"
#include "sys/mount.h"

struct tool {
    struct image_options options;
    struct image_access access;
    struct image_store *store;
    struct image_push_options push;
    struct image_change change;
    const char *platform;
    const char *policy;
    const char *mount_on;
    bool flag;
    bool in_memory;
    bool by_path; /* mount as kernels before 6.13 have to */
    char **args;  /* of the command, NULL-terminated */
    int count;
    struct arena arena;
};

static void show_event(const struct image_event *event, void *data)
{
    static const char *const names[] = {
            "waiting", "loading", "verifying", "done", "present", "note"};

    (void)data;
    if (event->state == IMAGE_NOTE)
        fprintf(stderr, "note %s\n", event->text);
    else
        fprintf(stderr, "%s %s %" PRIu64 "/%" PRIu64 "\n", names[event->state], event->digest,
                event->done, event->total);
}

static void show_words(const char *what, const struct strv *list)
{
    const char *word;

    strv_foreach (word, list)
        printf("%s%s\n", what, word);
}

static int do_pull(struct tool *t, struct error *err)
{
    static const char *const policies[] = {"always", "missing", "never", "newer"};
    enum image_pull_policy policy = IMAGE_PULL_ALWAYS;
    char id[IMAGE_ID_SIZE];

    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
        if (str_equal(t->policy, policies[i]))
            policy = (enum image_pull_policy)i;
    int r = image_pull(t->store, t->args[0], t->platform, policy, &t->access, id, err);
    if (r == 0)
        printf("%s\n", id);
    return r;
}

static int do_push(struct tool *t, struct error *err)
{
    char digest[IMAGE_ID_SIZE];

    int r = image_push(t->store, t->args[0], t->args[1], &t->push, &t->access, digest, err);
    if (r == 0)
        printf("%s\n", digest);
    return r;
}

static int do_login(struct tool *t, struct error *err)
{
    return image_login(t->store, t->args[0], &t->access, err);
}

static int do_logout(struct tool *t, struct error *err)
{
    return image_logout(t->store, t->args[0], err);
}

static int do_search(struct tool *t, struct error *err)
{
    struct image_hit *hits;
    size_t count;

    int r = image_search(t->store, t->args[0], &t->access, &t->arena, &hits, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        printf("%s %s\n", hits[i].name, hits[i].description ? hits[i].description : "");
    return r;
}

static int do_list(struct tool *t, struct error *err)
{
    struct image_info *list;
    size_t count;

    int r = image_list(t->store, &t->arena, &list, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        printf("%s %s %" PRIu64 " %s %s\n", list[i].id, list[i].platform, list[i].size,
                list[i].names.count ? strv_join(&t->arena, &list[i].names, ",") : "-",
                list[i].digests.count ? strv_join(&t->arena, &list[i].digests, ",") : "-");
    return r;
}

static int do_inspect(struct tool *t, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;

    int r = image_inspect(t->store, t->args[0], &json, err);
    if (r == 0)
        printf("%s\n", json_text(json));
    return r;
}

static int do_history(struct tool *t, struct error *err)
{
    struct image_step *steps;
    size_t count;

    int r = image_history(t->store, t->args[0], &t->arena, &steps, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        printf("%s %" PRIu64 " %s\n", steps[i].diff_id ? steps[i].diff_id : "-", steps[i].size,
                steps[i].created_by ? steps[i].created_by : "");
    return r;
}

static int do_tag(struct tool *t, struct error *err)
{
    return image_tag(t->store, t->args[0], t->args[1], err);
}

static int do_remove(struct tool *t, struct error *err)
{
    struct strv untagged;
    struct strv deleted;

    int r = image_remove(t->store, t->args[0], t->flag, &t->arena, &untagged, &deleted, err);
    if (r == 0) {
        show_words("untagged ", &untagged);
        show_words("deleted ", &deleted);
    }
    return r;
}

static int do_load(struct tool *t, struct error *err)
{
    struct strv names;

    int r = image_load(t->store, t->args[0], show_event, NULL, &t->arena, &names, err);
    if (r == 0)
        show_words("", &names);
    return r;
}

static int do_save(struct tool *t, struct error *err)
{
    struct strv images = {0};
    bool standard = str_equal(t->args[1], "-");

    for (int i = 2; i < t->count; i++)
        strv_add(&t->arena, &images, t->args[i]);
    return image_save(
            t->store, &images, t->args[0], standard ? NULL : t->args[1], STDOUT_FILENO, err);
}

static int do_import(struct tool *t, struct error *err)
{
    char id[IMAGE_ID_SIZE];

    t->change.name = t->args[0];
    int r = image_import(t->store, STDIN_FILENO, &t->change, id, err);
    if (r == 0)
        printf("%s\n", id);
    return r;
}

static int do_commit(struct tool *t, struct error *err)
{
    char id[IMAGE_ID_SIZE];

    t->change.name = t->args[1];
    int r = image_commit(t->store, t->args[0], -1, &t->change, id, err);
    if (r == 0)
        printf("%s\n", id);
    return r;
}

static int do_export(struct tool *t, struct error *err)
{
    _cleanup_close_ int fd = open(t->args[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, errno, "open") : image_export(fd, STDOUT_FILENO, err);
}

static int show_root(struct tool *t, const struct image_root *root, struct error *err)
{
    const struct rootfs_overlay layers = {.lower = root->lower,
            .upper = root->upper,
            .work = root->work,
            .base = root->base,
            .in_memory = t->in_memory,
            .by_path = t->by_path};
    int fd = -1;

    show_words("lower ", &root->lower);
    printf("upper %s\nwork %s\n", root->upper, root->work);
    if (!t->mount_on)
        return 0;
    _cleanup_close_ int userns =
            t->change.author ? open(t->change.author, O_RDONLY | O_CLOEXEC) : -1;
    int r = overlay_mount(
            &(struct overlay_mount){
                    .layers = &layers, .userns_fd = userns, .uid = 300000, .gid = 300000},
            &fd, err);
    if (r < 0)
        return r;
    r = sys_move_mount(fd, "", AT_FDCWD, t->mount_on, 4 /* MOVE_MOUNT_F_EMPTY_PATH */);
    close(fd);
    return r < 0 ? error_sys(err, -r, "move_mount to %s", t->mount_on) : 0;
}

static int do_root(struct tool *t, struct error *err)
{
    struct image_root root;
    const struct image_base base = {.image = t->args[0]};

    int r = image_root_create(t->store, &base, t->args[1], &t->arena, &root, err);
    return r < 0 ? r : show_root(t, &root, err);
}

static int do_root_find(struct tool *t, struct error *err)
{
    struct image_root root;

    int r = image_root_find(t->store, t->args[0], &t->arena, &root, err);
    return r < 0 ? r : show_root(t, &root, err);
}

static int do_root_remove(struct tool *t, struct error *err)
{
    return image_root_remove(t->store, t->args[0], err);
}

static int show_diff(enum image_diff_kind kind, const char *path, void *data)
{
    (void)data;
    printf("%c %s\n", "ACD"[kind], path);
    return 0;
}

static int do_diff(struct tool *t, struct error *err)
{
    return image_root_diff(t->store, t->args[0], show_diff, NULL, err);
}

static int do_usage(struct tool *t, struct error *err)
{
    struct image_usage u;

    int r = image_usage(t->store, &u, err);
    if (r == 0)
        printf("images %" PRIu64 " used %" PRIu64 " bytes %" PRIu64 " free %" PRIu64
               " roots %" PRIu64 " root-bytes %" PRIu64 " partial %" PRIu64 "\n",
                u.images, u.images_used, u.image_bytes, u.image_bytes_free, u.roots, u.root_bytes,
                u.partial_bytes);
    return r;
}

static int do_prune(struct tool *t, struct error *err)
{
    struct strv deleted;
    uint64_t bytes;

    int r = image_prune(t->store, t->flag, NULL, &t->arena, &deleted, &bytes, err);
    if (r == 0) {
        show_words("deleted ", &deleted);
        printf("bytes %" PRIu64 "\n", bytes);
    }
    return r;
}

static int do_check(struct tool *t, struct error *err)
{
    struct strv findings;

    int r = image_check(t->store, t->flag, &t->arena, &findings, err);
    if (r >= 0)
        show_words("", &findings);
    return r;
}

static const struct {
    const char *name;
    int least;
    int (*run)(struct tool *t, struct error *err);
} commands[] = {
        {"pull", 1, do_pull},
        {"push", 2, do_push},
        {"login", 1, do_login},
        {"logout", 1, do_logout},
        {"search", 1, do_search},
        {"list", 0, do_list},
        {"inspect", 1, do_inspect},
        {"history", 1, do_history},
        {"tag", 2, do_tag},
        {"remove", 1, do_remove},
        {"load", 1, do_load},
        {"save", 3, do_save},
        {"import", 0, do_import},
        {"commit", 1, do_commit},
        {"export", 1, do_export},
        {"root", 2, do_root},
        {"root-find", 1, do_root_find},
        {"root-remove", 1, do_root_remove},
        {"diff", 1, do_diff},
        {"usage", 0, do_usage},
        {"prune", 0, do_prune},
        {"check", 0, do_check},
};

static bool take_option(struct tool *t, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **to;
    } options[] = {{"--root", &t->options.root}, {"--conf", &t->options.registries_conf},
            {"--auth", &t->options.auth_file}, {"--certs", &t->options.certs_dir},
            {"--fetch", &t->options.fetch_program}, {"--user", &t->access.user},
            {"--password", &t->access.password}, {"--platform", &t->platform},
            {"--policy", &t->policy}, {"--format", &t->push.format},
            {"--compression", &t->push.compression}, {"--author", &t->change.author},
            {"--message", &t->change.message}, {"--mount", &t->mount_on}};

    if (str_equal(name, "--change"))
        strv_add(&t->arena, &t->change.changes, value);
    else if (str_equal(name, "--tls"))
        t->access.tls = str_equal(value, "verify") ? IMAGE_TLS_VERIFY : IMAGE_TLS_UNVERIFIED;
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (str_equal(name, options[i].name))
            *options[i].to = value;
    return str_starts(name, "--");
}

static int run(struct tool *t, const char *command, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!str_equal(commands[i].name, command))
            continue;
        if (t->count < commands[i].least)
            return error_set(err, EINVAL, "%s takes %d arguments", command, commands[i].least);
        int r = image_open(&t->options, &t->store, err);
        if (r == 0)
            r = commands[i].run(t, err);
        image_close(t->store);
        return r;
    }
    return error_set(err, EINVAL, "no such command: %s", command ? command : "");
}

int main(int argc, char **argv)
{
    struct tool t = {.access = {.event = show_event}};
    struct error err = ERROR_NONE;
    int i = 1;

    for (; i < argc && str_starts(argv[i], "--"); i++) {
        if (str_equal(argv[i], "--flag"))
            t.flag = true;
        else if (str_equal(argv[i], "--in-memory"))
            t.in_memory = true;
        else if (str_equal(argv[i], "--by-path"))
            t.by_path = true;
        else if (str_equal(argv[i], "--no-owners"))
            t.options.owners_ignored = true;
        else if (i + 1 < argc && take_option(&t, argv[i], argv[i + 1]))
            i++;
    }
    const char *command = i < argc ? argv[i] : NULL;
    t.args = argv + (i < argc ? i + 1 : i);
    t.count = argc - (int)(t.args - argv);
    int r = run(&t, command, &err);
    if (r < 0)
        fprintf(stderr, "error %s: %s\n", error_name(err.errnum), err.text);
    arena_free(&t.arena);
    return r < 0;
}
