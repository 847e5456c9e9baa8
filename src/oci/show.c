/* state, list, ps: what only tells. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "cgroup/group.h"
#include "engine/vm_call.h"
#include "oci/command.h"
#include "oci/words.h"

static void spec_of(const struct container *container, struct spec_state *ret)
{
    container_state_as_spec(&container->state, container_status(container), ret);
}

int oci_state(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci state",
            .usage = "CONTAINER-ID",
            .about = "Prints the state of a container as JSON.",
            .least = 1,
            .most = 1};
    _cleanup_container_ struct container container = {0};
    struct spec_state state;
    int r = oci_read_id(&command, argc, argv, oci, NULL, &container, err);

    if (r != 0)
        return r < 0 ? r : 0;
    spec_of(&container, &state);
    _cleanup_json_ struct json_object *json = spec_state_write_full(&state);
    oci_print_json(json);
    return 0;
}

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct spec_state *items;
    size_t count;
};

static int collect(struct oci *oci, bool annotations, struct listing *ret, struct error *err)
{
    struct strv ids = {0};
    const char *id;
    int r = store_list(&oci->store, oci->arena, &ids, err);

    if (r < 0)
        return r;
    ret->items = arena_new_array(oci->arena, struct spec_state, ids.count);
    strv_foreach (id, &ids) {
        if (container_glance(&oci->store, id, annotations, oci->arena, &ret->items[ret->count]) ==
                0)
            ret->count++;
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
    _cleanup_buf_ struct buf item = {0};

    for (size_t i = 0; i < list->count; i++) {
        buf_clear(&item);
        spec_state_print_full(&list->items[i], &item);
        printf("%c%s", i ? ',' : '[', buf_text(&item));
    }
    printf("%s\n", list->count ? "]" : "null");
}

struct list_options {
    const char *format;
    bool quiet;
};

static const struct option_row list_rows[] = {
        OPTION('f', "format", OPTION_CHOICE, struct list_options, format, "table|json",
                "how they are told"),
        OPTION('q', "quiet", OPTION_FLAG, struct list_options, quiet, NULL, "ids only"),
};
static const struct option_table list_table = OPTION_TABLE("Options", list_rows);

int oci_list(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci list",
            .about = "Lists the containers below --root.",
            .tables = {&list_table}};
    struct list_options options = {0};
    struct listing list = {0};
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    bool json = !options.quiet && str_equal(options.format, "json");
    r = collect(oci, json, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; options.quiet && i < list.count; i++)
        printf("%s\n", list.items[i].id);
    if (json)
        print_list_json(&list);
    else if (!options.quiet)
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

static void print_pids(const struct cgroup_pids *pids)
{
    _cleanup_json_ struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < pids->count; i++)
        json_object_array_add(array, json_object_new_int(pids->items[i]));
    printf("%s\n", pids->count ? json_text(array) : "null");
}

/* The guest says it: what a terminal would take for an order is left out. */
static const char *plain_text(const char *from, char *into, size_t size)
{
    size_t length = 0;

    for (; from && *from && length < size - 1; from++)
        into[length++] = *from < ' ' || *from == 127 ? '?' : *from;
    into[length] = '\0';
    return into;
}

/* The processes of a machine, by the numbers that they have inside: ps(1) sees none of them. */
static int print_inside(const struct container *container, bool pids_only, struct error *err)
{
    _cleanup_json_ struct json_object *list = NULL;
    _cleanup_json_ struct json_object *pids = json_object_new_array();
    struct agent_call call = {.verb = "ps"};
    char text[512];
    int r = vm_call(container, &call, &list, err);

    if (r < 0)
        return r;
    if (!json_object_is_type(list, json_type_array))
        return error_set(err, EPROTO, "the machine's agent did not answer with a list");
    if (!pids_only)
        printf("%-8s %8s %8s  %s\n", "UID", "PID", "PPID", "CMD");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *command = plain_text(json_get_str(item, "command"), text, sizeof(text));
        int64_t pid = json_get_int(item, "pid", 0);
        json_object_array_add(pids, json_object_new_int64(pid));
        if (!pids_only)
            printf("%-8" PRId64 " %8" PRId64 " %8" PRId64 "  %s\n", json_get_int(item, "user", 0),
                    pid, json_get_int(item, "ppid", 0), command);
    }
    if (pids_only)
        printf("%s\n", json_text(pids));
    return 0;
}

static const struct option_row ps_rows[] = {
        OPTION('f', "format", OPTION_CHOICE, struct list_options, format, "table|json",
                "how they are told"),
};
static const struct option_table ps_table = OPTION_TABLE("Options", ps_rows);

int oci_ps(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci ps",
            .usage = "CONTAINER-ID [PS-OPTIONS...]",
            .about = "Lists the processes of a container, as ps(1) with these options shows them.",
            .order = OPTIONS_FIRST,
            .least = 1,
            .most = 256,
            .tables = {&ps_table}};
    _cleanup_container_ struct container container = {0};
    struct list_options options = {0};
    struct cgroup_pids pids = {0};
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = oci_open(oci, rest.words[0], &container, err);
    if (r == 0 && vm_is(&container))
        return print_inside(&container, str_equal(options.format, "json"), err);
    if (r == 0)
        r = cgroup_list(&container.state.cgroup, oci->arena, &pids, err);
    if (r < 0)
        return r;
    if (str_equal(options.format, "json")) {
        print_pids(&pids);
        return 0;
    }
    if (rest.count == 1)
        strv_add(oci->arena, &rest, "-ef");
    rest.words[0] = arena_strdup(oci->arena, "ps");
    return print_ps(rest.words, &pids, err);
}
