/* mounts add, mounts remove: mounts of a container that runs, as crun has them. */
#include "container/mounts.h"

#include <fcntl.h>
#include <sched.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "oci/command.h"
#include "oci/words.h"

/* The file holds the list as config.json's "mounts" has it, or an object with that member. */
static int read_mounts(struct oci *oci, const char *file, struct spec *ret, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = oci->arena};
    int r = json_parse_file_at(AT_FDCWD, file, &json, err);

    if (r < 0)
        return r;
    _cleanup_json_ struct json_object *config = json_object_new_object();
    struct json_object *list =
            json_object_is_type(json, json_type_array) ? json : json_get(json, "mounts");
    if (!json_object_is_type(list, json_type_array))
        return error_set(err, EINVAL, "%s: a list of mounts is expected, as in config.json", file);
    json_object_object_add(config, "ociVersion", json_object_new_string(SPEC_VERSION));
    json_object_object_add(config, "mounts", json_object_get(list));
    spec_read(config, ret, &report);
    return record_error(&report, file, err);
}

int oci_mounts(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci mounts",
            .usage = "add|remove CONTAINER-ID FILE",
            .about = "Mounts what FILE lists into a running container, or takes it away.",
            .least = 3,
            .most = 3};
    _cleanup_container_ struct container container = {0};
    struct container_host host = {0};
    struct spec mounts = {0};
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, NULL, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    const char *verb = rest.words[0];
    if (!str_equal(verb, "add") && !str_equal(verb, "remove"))
        return error_set(err, EINVAL, "unknown command mounts %s: write add or remove", verb);
    r = oci_open(oci, rest.words[1], &container, err);
    if (r == 0)
        r = read_mounts(oci, rest.words[2], &mounts, err);
    if (r == 0 && !(container.state.namespaces & CLONE_NEWUSER))
        r = oci_protect(oci, err);
    if (r == 0)
        r = oci_host(oci, &host, err);
    return r < 0 ? r
                 : container_mounts_change(
                           &container, &host, &mounts, str_equal(verb, "remove"), err);
}
