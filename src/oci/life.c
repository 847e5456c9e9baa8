/* start, kill, delete, pause, resume: one container, one change. */
#include <signal.h>

#include "base/str.h"
#include "engine/vm_call.h"
#include "oci/command.h"
#include "oci/notify.h"
#include "oci/words.h"
#include "spec/signals.h"

/* A command that takes an id and no options, and what it does. */
typedef int (*change_fn)(struct container *container, struct error *err);

static int change(struct oci *oci, const char *name, const char *about, change_fn make, int argc,
        char **argv, struct error *err)
{
    const struct option_command command = {
            .name = name, .usage = "CONTAINER-ID", .about = about, .least = 1, .most = 1};
    _cleanup_container_ struct container container = {0};
    int r = oci_read_id(&command, argc, argv, oci, NULL, &container, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return make(&container, err);
}

static int pause_it(struct container *container, struct error *err)
{
    return container_pause(container, err);
}

static int resume_it(struct container *container, struct error *err)
{
    return container_resume(container, err);
}

static int start_it(struct container *container, struct error *err)
{
    return oci_notify_start(container, false, err);
}

int oci_start(struct oci *oci, int argc, char **argv, struct error *err)
{
    return change(oci, "viv-oci start", "Lets the workload of a created container run.", start_it,
            argc, argv, err);
}

int oci_pause(struct oci *oci, int argc, char **argv, struct error *err)
{
    return change(oci, "viv-oci pause", "Freezes all processes of the container.", pause_it, argc,
            argv, err);
}

int oci_resume(struct oci *oci, int argc, char **argv, struct error *err)
{
    return change(
            oci, "viv-oci resume", "Lets a paused container go on.", resume_it, argc, argv, err);
}

struct kill_options {
    bool all;
};

static const struct option_row kill_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct kill_options, all, NULL,
                "to every process of the container"),
};
static const struct option_table kill_table = OPTION_TABLE("Options", kill_rows);

int oci_kill(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci kill",
            .usage = "CONTAINER-ID [SIGNAL]",
            .about = "Sends a signal (SIGTERM) to the container's first process.",
            .least = 1,
            .most = 2,
            .tables = {&kill_table}};
    _cleanup_container_ struct container container = {0};
    struct kill_options options = {0};
    struct strv rest = {0};
    int number = SIGTERM;
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (rest.count == 2 && str_equal(rest.words[1], "0"))
        number = 0; /* sends nothing, and says whether it could be sent */
    else if (rest.count == 2 && signal_parse(rest.words[1], &number, err) < 0)
        return -EINVAL;
    r = oci_open(oci, rest.words[0], &container, err);
    return r < 0 ? r : workload_kill(&container, number, options.all, err);
}

struct delete_options {
    bool force;
};

static const struct option_row delete_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct delete_options, force, NULL,
                "kills it first if it runs; a container that is not there is fine"),
};
static const struct option_table delete_table = OPTION_TABLE("Options", delete_rows);

int oci_delete(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci delete",
            .usage = "CONTAINER-ID",
            .about = "Takes away a container that has stopped, and all that it held.",
            .least = 1,
            .most = 1,
            .tables = {&delete_table}};
    _cleanup_container_ struct container container = {0};
    struct delete_options options = {0};
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    const char *id = rest.words[0];
    r = oci_open(oci, id, &container, err);
    /* its maker may have been killed before, or while, its state was written */
    if ((r == -ENOENT || r == -EINVAL) && options.force && store_check_id(id, NULL) == 0)
        return store_remove(&oci->store, id, err);
    return r < 0 ? r : oci_remove(oci, &container, options.force, err);
}
