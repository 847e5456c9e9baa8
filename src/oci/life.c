/* start, kill, delete, pause, resume: one container, one change. */
#include <regex.h>
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

/* ---- one or many ----------------------------------------------------------------------------- */

typedef int (*each_fn)(
        struct oci *oci, struct container *container, const void *options, struct error *err);

static int compile(const char *pattern, regex_t *ret, struct error *err)
{
    char why[128];
    int code = regcomp(ret, pattern, REG_EXTENDED | REG_NOSUB);

    if (code == 0)
        return 0;
    regerror(code, ret, why, sizeof(why));
    return error_set(err, EINVAL, "invalid regular expression \"%s\": %s", pattern, why);
}

/* All whose id has a part that matches (regex(7), extended). The first failure is returned, the
 * others are dealt with all the same; one that is gone by then is no failure. */
static int each_match(
        struct oci *oci, const char *pattern, each_fn make, const void *options, struct error *err)
{
    struct strv ids = {0};
    const char *id;
    regex_t compiled;
    int result = store_list(&oci->store, oci->arena, &ids, err);

    if (result == 0)
        result = compile(pattern, &compiled, err);
    if (result < 0)
        return result;
    strv_foreach (id, &ids) {
        _cleanup_container_ struct container container = {0};
        struct error one = ERROR_NONE;
        if (regexec(&compiled, id, 0, NULL, 0) != 0 ||
                container_open(&oci->store, id, oci->arena, &container, NULL) < 0)
            continue;
        int r = make(oci, &container, options, &one);
        if (r < 0 && result == 0) {
            result = r;
            *err = one;
        }
    }
    regfree(&compiled);
    return result;
}

struct kill_options {
    bool all, regex;
    int signal;
};

static const struct option_row kill_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct kill_options, all, NULL,
                "to every process of the container"),
        OPTION('r', "regex", OPTION_FLAG, struct kill_options, regex, NULL,
                "CONTAINER-ID is a regular expression: to all containers that match"),
};
static const struct option_table kill_table = OPTION_TABLE("Options", kill_rows);

static int kill_one(
        struct oci *oci, struct container *container, const void *data, struct error *err)
{
    const struct kill_options *options = data;

    (void)oci;
    return workload_kill(container, options->signal, options->all, err);
}

int oci_kill(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci kill",
            .usage = "CONTAINER-ID [SIGNAL]",
            .about = "Sends a signal (SIGTERM) to the container's first process.",
            .least = 1,
            .most = 2,
            .tables = {&kill_table}};
    _cleanup_container_ struct container container = {0};
    struct kill_options options = {.signal = SIGTERM};
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (rest.count == 2 && str_equal(rest.words[1], "0"))
        options.signal = 0; /* sends nothing, and says whether it could be sent */
    else if (rest.count == 2 && *rest.words[1] &&
             signal_parse(rest.words[1], &options.signal, err) < 0)
        return -EINVAL;
    if (options.regex)
        return each_match(oci, rest.words[0], kill_one, &options, err);
    r = oci_open(oci, rest.words[0], &container, err);
    return r < 0 ? r : kill_one(oci, &container, &options, err);
}

struct delete_options {
    bool force, regex;
};

static const struct option_row delete_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct delete_options, force, NULL,
                "kills it first if it runs; a container that is not there is fine"),
        OPTION('r', "regex", OPTION_FLAG, struct delete_options, regex, NULL,
                "CONTAINER-ID is a regular expression: all containers that match"),
};
static const struct option_table delete_table = OPTION_TABLE("Options", delete_rows);

static int delete_one(
        struct oci *oci, struct container *container, const void *data, struct error *err)
{
    const struct delete_options *options = data;

    return oci_remove(oci, container, options->force, err);
}

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
    if (options.regex)
        return each_match(oci, id, delete_one, &options, err);
    r = oci_open(oci, id, &container, err);
    /* its maker may have been killed before, or while, its state was written */
    if ((r == -ENOENT || r == -EINVAL) && options.force && store_check_id(id, NULL) == 0)
        return store_remove(&oci->store, id, err);
    return r < 0 ? r : delete_one(oci, &container, &options, err);
}
