/* start, kill, delete, pause, resume: one container, one change. */
#include <signal.h>

#include "base/str.h"
#include "oci/command.h"
#include "oci/words.h"
#include "spec/signals.h"

static const struct option no_options[] = {{0}};

/* Parses the words of a command that takes an id and no options. */
static int open_only(
        struct oci *oci, int argc, char **argv, struct container *ret, struct error *err)
{
    const char *id;

    if (oci_getopt(argc, argv, "", no_options, false, err) == '?')
        return -EINVAL;
    int r = oci_one_word(argc, argv, &id, err);
    return r < 0 ? r : oci_open(oci, id, ret, err);
}

int oci_start(struct oci *oci, int argc, char **argv, struct error *err)
{
    _cleanup_container_ struct container container = {0};
    int r = open_only(oci, argc, argv, &container, err);

    return r < 0 ? r : container_start(&container, err);
}

int oci_pause(struct oci *oci, int argc, char **argv, struct error *err)
{
    _cleanup_container_ struct container container = {0};
    int r = open_only(oci, argc, argv, &container, err);

    return r < 0 ? r : container_pause(&container, err);
}

int oci_resume(struct oci *oci, int argc, char **argv, struct error *err)
{
    _cleanup_container_ struct container container = {0};
    int r = open_only(oci, argc, argv, &container, err);

    return r < 0 ? r : container_resume(&container, err);
}

int oci_kill(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
    _cleanup_container_ struct container container = {0};
    bool all = false;
    int number = SIGTERM;
    int option;

    while ((option = oci_getopt(argc, argv, "a", options, false, err)) != -1) {
        if (option == '?')
            return -EINVAL;
        all = true;
    }
    if (argc - optind < 1 || argc - optind > 2)
        return error_set(err, EINVAL, "kill: a container's id and at most a signal are wanted");
    if (argc - optind == 2 && signal_parse(argv[optind + 1], &number, err) < 0)
        return -EINVAL;
    int r = oci_open(oci, argv[optind], &container, err);
    return r < 0 ? r : container_kill(&container, number, all, err);
}

int oci_delete(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
    _cleanup_container_ struct container container = {0};
    const char *id;
    bool force = false;
    int option;

    while ((option = oci_getopt(argc, argv, "f", options, false, err)) != -1) {
        if (option == '?')
            return -EINVAL;
        force = true;
    }
    int r = oci_one_word(argc, argv, &id, err);
    if (r == 0)
        r = oci_open(oci, id, &container, err);
    if (r == -ENOENT && force)
        return 0;
    if (r == -EINVAL && force && store_check_id(id, NULL) == 0)
        return store_remove(&oci->store, id, err); /* killed before its state was written */
    return r < 0 ? r : container_delete(&container, force, err);
}
