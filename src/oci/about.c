/* features and spec: about the runtime, not about a container. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "oci/command.h"
#include "oci/words.h"
#include "security/seccomp.h"
#include "spec/defaults.h"
#include "spec/featureset.h"

int oci_features(struct oci *oci, int argc, char **argv, struct error *err)
{
    struct spec_features features = {0};
    static const struct option_command command = {
            .name = "viv-oci features", .about = "Prints what this runtime supports, as JSON."};
    const char *const *flag;
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, NULL, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    spec_features_fill(oci->arena, &features);
    features.linux.seccomp.supportedFlags = (struct strv){0};
    for (flag = seccomp_flag_names(); *flag; flag++)
        if (seccomp_flag_supported(*flag))
            strv_add(oci->arena, &features.linux.seccomp.supportedFlags, *flag);
    _cleanup_json_ struct json_object *json = spec_features_write(&features);
    oci_print_json(json);
    return 0;
}

struct spec_options {
    const char *bundle, *file;
    bool rootless;
};

static const struct option_row spec_rows[] = {
        OPTION('b', "bundle", OPTION_TEXT, struct spec_options, bundle, "DIR",
                "where config.json is written"),
        OPTION('f', "file", OPTION_TEXT, struct spec_options, file, "FILE",
                "another name than config.json; what is there is replaced"),
        OPTION(0, "rootless", OPTION_FLAG, struct spec_options, rootless, NULL,
                "for an ordinary user"),
};
static const struct option_table spec_table = OPTION_TABLE("Options", spec_rows);

int oci_spec(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci spec",
            .about = "Writes a config.json to start from.",
            .tables = {&spec_table}};
    struct spec_options options = {.bundle = "."};
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    const char *bundle = options.bundle;
    const char *file = options.file ? options.file : "config.json";
    enum spec_default kind = options.rootless ? SPEC_DEFAULT_ROOTLESS : SPEC_DEFAULT_OCI;
    _cleanup_close_ int dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_sys(err, errno, "open the bundle %s", bundle);
    if (!options.file && faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(err, EEXIST, "File config.json exists. Remove it first");
    struct spec *spec = spec_default_new(oci->arena, kind, geteuid(), getegid());
    _cleanup_json_ struct json_object *json = spec_write(spec);
    const char *text = json_text_pretty(json);
    r = io_replace_file_at(dir, file, text, strlen(text), 0666, false);
    return r < 0 ? error_sys(err, -r, "write %s/%s", bundle, file) : 0;
}
