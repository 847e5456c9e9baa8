/* state, list, ps, features, spec: what only tells. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "oci/command.h"
#include "oci/words.h"
#include "security/seccomp.h"
#include "spec/defaults.h"
#include "spec/featureset.h"

static void print_json(struct json_object *json)
{
    printf("%s\n",
            json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void spec_of(const struct container *container, struct spec_state *ret)
{
    container_state_as_spec(&container->state, container_status(container), ret);
}

int oci_state(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option options[] = {{0}};
    _cleanup_container_ struct container container = {0};
    struct spec_state state;
    const char *id;

    if (oci_getopt(argc, argv, "", options, false, err) == '?')
        return -EINVAL;
    int r = oci_one_word(argc, argv, &id, err);
    if (r == 0)
        r = oci_open(oci, id, &container, err);
    if (r < 0)
        return r;
    spec_of(&container, &state);
    _cleanup_json_ struct json_object *json = spec_state_write_full(&state);
    print_json(json);
    return 0;
}

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct spec_state *items;
    size_t count;
};

static int collect(struct oci *oci, struct listing *ret, struct error *err)
{
    struct strv ids = {0};
    const char *id;
    int r = store_list(&oci->store, oci->arena, &ids, err);

    if (r < 0)
        return r;
    ret->items = arena_new_array(oci->arena, struct spec_state, ids.count);
    strv_foreach (id, &ids) {
        _cleanup_container_ struct container container = {0};
        if (container_open(&oci->store, id, oci->arena, &container, NULL) == 0)
            spec_of(&container, &ret->items[ret->count++]);
    }
    return 0;
}

static size_t wider(size_t width, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    return length > width ? length : width;
}

/* runc's columns: at least 12 wide, three blanks between, the last one without padding. */
static void print_table(const struct listing *list)
{
    size_t widths[5] = {9, 9, 9, 9, 9};

    for (size_t i = 0; i < list->count; i++) {
        const struct spec_state *item = &list->items[i];
        widths[0] = wider(widths[0], item->id);
        widths[2] = wider(widths[2], item->status);
        widths[3] = wider(widths[3], item->bundle);
        widths[4] = wider(widths[4], item->created);
    }
    printf("%-*s   %-*s   %-*s   %-*s   %-*s   OWNER\n", (int)widths[0], "ID", (int)widths[1],
            "PID", (int)widths[2], "STATUS", (int)widths[3], "BUNDLE", (int)widths[4], "CREATED");
    for (size_t i = 0; i < list->count; i++) {
        const struct spec_state *item = &list->items[i];
        printf("%-*s   %-*d   %-*s   %-*s   %-*s   %s\n", (int)widths[0], item->id, (int)widths[1],
                item->pid, (int)widths[2], item->status, (int)widths[3], item->bundle,
                (int)widths[4], item->created, item->owner);
    }
}

static void print_list_json(const struct listing *list)
{
    _cleanup_json_ struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(array, spec_state_write_full(&list->items[i]));
    printf("%s\n", list->count ? json_text(array) : "null");
}

static int read_format(const char *text, bool *ret_json, struct error *err)
{
    if (!str_equal(text, "json") && !str_equal(text, "table"))
        return error_set(err, EINVAL, "invalid format option: \"%s\"; write table or json", text);
    *ret_json = str_equal(text, "json");
    return 0;
}

int oci_list(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option options[] = {
            {"format", required_argument, NULL, 'f'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    struct listing list = {0};
    bool quiet = false;
    bool json = false;
    int option;

    while ((option = oci_getopt(argc, argv, "f:q", options, false, err)) != -1) {
        if (option == '?' || (option == 'f' && read_format(optarg, &json, err) < 0))
            return -EINVAL;
        quiet = quiet || option == 'q';
    }
    int r = collect(oci, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; quiet && i < list.count; i++)
        printf("%s\n", list.items[i].id);
    if (!quiet && json)
        print_list_json(&list);
    else if (!quiet)
        print_table(&list);
    return 0;
}

/* ---- ps -------------------------------------------------------------------------------------- */

static bool has_pid(const struct cgroup_pids *pids, pid_t pid)
{
    for (size_t i = 0; i < pids->count; i++)
        if (pids->items[i] == pid)
            return true;
    return false;
}

/* The column of the header that is called PID; -1 if there is none. */
static int pid_column(const char *header)
{
    int column = 0;

    while (*header) {
        header += strspn(header, " ");
        size_t length = strcspn(header, " ");
        if (length == 3 && strncmp(header, "PID", 3) == 0)
            return column;
        header += length;
        column++;
    }
    return -1;
}

static pid_t pid_in_column(const char *line, int column)
{
    for (int i = 0; i < column; i++) {
        line += strspn(line, " ");
        line += strcspn(line, " ");
    }
    return (pid_t)strtol(line, NULL, 10);
}

/* What ps(1) prints, but for the lines of other processes. */
static int print_ps(char **argv, const struct cgroup_pids *pids, struct error *err)
{
    _cleanup_buf_ struct buf output = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "make a pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        execvp("ps", argv);
        _exit(127);
    }
    close(ends[1]);
    int r = io_read_fd(ends[0], &output);
    close(ends[0]);
    if (r < 0 || output.length == 0)
        return error_set(err, ENOENT,
                "ps(1) could not be run, or does not take these options; "
                "--format json needs no ps");
    char *rest = output.data;
    char *line = strsep(&rest, "\n");
    int column = pid_column(line);
    if (column < 0)
        return error_set(err, EINVAL, "couldn't find PID field in ps output");
    printf("%s\n", line);
    while ((line = strsep(&rest, "\n")))
        if (has_pid(pids, pid_in_column(line, column)))
            printf("%s\n", line);
    return 0;
}

int oci_ps(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'}, {0}};
    _cleanup_container_ struct container container = {0};
    struct cgroup_pids pids = {0};
    char program[] = "ps";
    char all[] = "-ef";
    char *plain[] = {program, all, NULL};
    bool json = false;
    int option;

    while ((option = oci_getopt(argc, argv, "f:", options, true, err)) != -1)
        if (option == '?' || read_format(optarg, &json, err) < 0)
            return -EINVAL;
    if (optind >= argc)
        return error_set(err, EINVAL, "ps: requires a minimum of 1 argument, the container's id");
    int first = optind;
    int r = oci_open(oci, argv[first], &container, err);
    if (r == 0)
        r = cgroup_list(&container.state.cgroup, oci->arena, &pids, err);
    if (r < 0)
        return r;
    if (json) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        for (size_t i = 0; i < pids.count; i++)
            json_object_array_add(array, json_object_new_int(pids.items[i]));
        printf("%s\n", json_text(array));
        return 0;
    }
    argv[first] = program;
    return print_ps(argc - first > 1 ? argv + first : plain, &pids, err);
}

/* ---- features and spec ----------------------------------------------------------------------- */

int oci_features(struct oci *oci, int argc, char **argv, struct error *err)
{
    struct spec_features features = {0};
    const char *const *flag;

    (void)argc, (void)argv, (void)err;
    spec_features_fill(oci->arena, &features);
    features.linux.seccomp.supportedFlags = (struct strv){0};
    for (flag = seccomp_flag_names(); *flag; flag++)
        if (seccomp_flag_supported(*flag))
            strv_add(oci->arena, &features.linux.seccomp.supportedFlags, *flag);
    _cleanup_json_ struct json_object *json = spec_features_write(&features);
    print_json(json);
    return 0;
}

int oci_spec(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option options[] = {
            {"bundle", required_argument, NULL, 'b'}, {"rootless", no_argument, NULL, 'r'}, {0}};
    const char *bundle = ".";
    enum spec_default kind = SPEC_DEFAULT_OCI;
    int option;

    while ((option = oci_getopt(argc, argv, "b:", options, false, err)) != -1) {
        if (option == '?')
            return -EINVAL;
        if (option == 'b')
            bundle = optarg;
        else
            kind = SPEC_DEFAULT_ROOTLESS;
    }
    _cleanup_close_ int dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_sys(err, errno, "open the bundle %s", bundle);
    if (faccessat(dir, "config.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(err, EEXIST, "File config.json exists. Remove it first");
    struct spec *spec = spec_default_new(oci->arena, kind, geteuid(), getegid());
    _cleanup_json_ struct json_object *json = spec_write(spec);
    const char *text = json_text_pretty(json);
    int r = io_replace_file_at(dir, "config.json", text, strlen(text), 0666, false);
    return r < 0 ? error_sys(err, -r, "write %s/config.json", bundle) : 0;
}
