/* load, save, import: images in files. export, diff: what a sandbox has made of its root. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/imagecommands.h"
#include "cli/registry.h"
#include "cli/select.h"
#include "engine/root.h"
#include "engine/rootless.h"
#include "observe/format.h"
#include "observe/style.h"

/* An archive goes to a file or a pipe, never onto a terminal. */
static int refuse_terminal(const char *output, struct error *err)
{
    if (output || !isatty(1))
        return 0;
    return error_set(err, EINVAL,
            "an archive is nothing to look at: use -o FILE, or send standard output elsewhere");
}

/* ---- load ------------------------------------------------------------------------------------ */

struct load_flags {
    const char *input;
    bool quiet;
};

static const struct option_row load_rows[] = {
        OPTION('i', "input", OPTION_TEXT, struct load_flags, input, "FILE",
                "read this file, or folder (standard input)"),
        OPTION('q', "quiet", OPTION_FLAG, struct load_flags, quiet, NULL, "no progress"),
};
static const struct option_table load_table = OPTION_TABLE("Options", load_rows);
static const struct option_command load_command = {.name = "viv load",
        .about = "Reads all images of an archive that docker, podman, skopeo or viv save has "
                 "written: a docker archive or OCI layout, as a file, compressed or not, or as a "
                 "folder.",
        .tables = {&load_table}};

int cli_load(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_progress_ struct progress progress = {0};
    struct load_flags flags = {0};
    struct image_store *store;
    struct strv rest = {0};
    struct strv names = {0};
    const char *name;
    int r = cli_parse(cli, &load_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (!flags.input && isatty(0))
        return error_set(err, EINVAL, "nothing to load: use -i FILE, or standard input");
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r < 0)
        return r;
    progress_start(&progress, stderr, flags.quiet);
    r = image_load(store, flags.input ? flags.input : "-", progress_event, &progress, cli->arena,
            &names, err);
    progress_end(&progress);
    if (r < 0)
        return r;
    strv_foreach (name, &names) {
        printf("Loaded image: %s\n", name);
    }
    return 0;
}

/* ---- save ------------------------------------------------------------------------------------ */

struct save_flags {
    const char *output;
    const char *format;
    bool quiet, latest, several;
};

static const struct option_row save_rows[] = {
        OPTION('o', "output", OPTION_TEXT, struct save_flags, output, "FILE",
                "write here (standard output)"),
        OPTION(0, "format", OPTION_CHOICE, struct save_flags, format,
                "docker-archive|oci-archive|oci-dir|docker-dir", "of the archive (docker-archive)"),
        OPTION('m', "multi-image-archive", OPTION_FLAG, struct save_flags, several, NULL,
                "understood for Podman's sake: each word is an image anyway"),
        OPTION('q', "quiet", OPTION_FLAG, struct save_flags, quiet, NULL,
                "understood for Podman's sake: nothing is said anyway"),
};
static const struct option_table save_table = OPTION_TABLE("Options", save_rows);
static const struct option_command save_command = {.name = "viv save",
        .usage = "IMAGE…",
        .about = "Writes images into one archive.",
        .least = 1,
        .most = SIZE_MAX,
        .tables = {&save_table}};

int cli_save(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct save_flags flags = {0};
    struct image_store *store;
    struct strv images = {0};
    int r = cli_parse(cli, &save_command, argc, argv, &flags, &images, err);

    if (r != 0)
        return r < 0 ? r : 0;
    const char *format = flags.format ? flags.format : "docker-archive";
    if (str_ends(format, "-dir") && !flags.output)
        return error_set(err, EINVAL, "--format %s: a folder needs a name, -o DIR", format);
    r = refuse_terminal(flags.output, err);
    if (r == 0)
        r = registry_open(cli, NULL, &engine, &store, err);
    return r < 0 ? r : image_save(store, &images, format, flags.output, STDOUT_FILENO, err);
}

/* ---- import ---------------------------------------------------------------------------------- */

struct import_flags {
    struct image_change change;
    struct registry_platform parts;
    bool quiet;
};

static const struct option_row import_rows[] = {
        OPTION('c', "change", OPTION_LIST, struct import_flags, change.changes, "LINE",
                "a line of a Dockerfile: \"CMD /bin/sh\", \"ENV A=1\" …"),
        OPTION('m', "message", OPTION_TEXT, struct import_flags, change.message, "TEXT",
                "a comment in its history"),
        OPTION(0, "platform", OPTION_TEXT, struct import_flags, change.platform,
                "OS/ARCH[/VARIANT]", "what it is for (this machine)"),
        REGISTRY_PLATFORM_ROWS(struct import_flags),
        OPTION('q', "quiet", OPTION_FLAG, struct import_flags, quiet, NULL,
                "understood for Podman's sake: only the id is said anyway"),
};
static const struct option_table import_table = OPTION_TABLE("Options", import_rows);
static const struct option_command import_command = {.name = "viv import",
        .usage = "FILE|- [NAME]",
        .about = "Makes an image of one layer from the tarball of a root file system, and prints "
                 "its id.",
        .least = 1,
        .most = 2,
        .tables = {&import_table}};

int cli_import(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_close_ int file = -1;
    struct import_flags flags = {0};
    struct image_change *change = &flags.change;
    struct image_store *store;
    struct strv words = {0};
    char id[IMAGE_ID_SIZE];
    int r = cli_parse(cli, &import_command, argc, argv, &flags, &words, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = registry_platform(cli, &flags.parts, &change->platform, err);
    if (r < 0)
        return r;
    bool standard = str_equal(words.words[0], "-");
    if (!standard) {
        file = open(words.words[0], O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return error_sys(err, errno, "open %s", words.words[0]);
    }
    change->name = words.count > 1 ? words.words[1] : NULL;
    change->created_by = arena_printf(cli->arena, "viv import %s", words.words[0]);
    r = registry_open(cli, NULL, &engine, &store, err);
    if (r < 0)
        return r;
    r = image_import(store, standard ? STDIN_FILENO : file, change, id, err);
    if (r < 0)
        return error_prefix(err, "%s", standard ? "standard input" : words.words[0]);
    printf("%s\n", id);
    return r;
}

/* ---- export ---------------------------------------------------------------------------------- */

static const struct option_row export_rows[] = {
        OPTION('o', "output", OPTION_TEXT, struct save_flags, output, "FILE",
                "write here (standard output)"),
};
static const struct option_table export_table = OPTION_TABLE("Options", export_rows);
static const struct option_command export_command = {.name = "viv export",
        .usage = "SANDBOX",
        .about = "Writes the root of a sandbox, as the image and the sandbox have made it, as one "
                 "tar archive. What is mounted in it is left out.",
        .least = 1,
        .most = 1,
        .tables = {&export_table}};

/* A file that nobody sees under its name until it is whole. */
static int export_to(int root, const char *output, struct error *err)
{
    char temporary[4096];

    if (!output)
        return image_export(root, STDOUT_FILENO, err);
    if (snprintf(temporary, sizeof(temporary), "%s.part", output) >= (int)sizeof(temporary))
        return error_set(err, ENAMETOOLONG, "-o %s", output);
    _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_sys(err, errno, "-o %s", output);
    int r = image_export(root, fd, err);
    if (r == 0 && rename(temporary, output) < 0)
        r = error_sys(err, errno, "-o %s", output);
    if (r < 0)
        unlink(temporary);
    return r;
}

/* With the rights of the sandbox's user, since it may have files that nobody else may read. */
struct on_root {
    struct engine *engine;
    const struct sandbox *sandbox;
    const char *output;
};

static int export_root(void *data, char *out, struct error *err)
{
    const struct on_root *on = data;
    _cleanup_close_ int root = -1;
    int r = engine_root_open_of(on->engine, on->sandbox, &root, err);

    (void)out;
    return r < 0 ? r : export_to(root, on->output, err);
}

int cli_export(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct save_flags flags = {0};
    struct strv rest = {0};
    char out[ROOTLESS_OUT_MAX];
    int r = cli_parse(cli, &export_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = refuse_terminal(flags.output, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_find(&engine, rest.words[0], &sandbox, err);
    struct on_root on = {.engine = &engine, .sandbox = &sandbox, .output = flags.output};
    return r < 0 ? r : rootless_call(cli->arena, &engine.host, export_root, &on, out, err);
}

/* ---- diff ------------------------------------------------------------------------------------ */

static const struct option_row diff_rows[] = {
        OPTION(0, "format", OPTION_TEXT, struct save_flags, format, "FORMAT",
                "text, json, \"table TEMPLATE\", or a template for each line"),
        SELECT_LATEST_ROW(struct save_flags, latest),
};
static const struct option_table diff_table = OPTION_TABLE("Options", diff_rows);
static const struct option_command diff_command = {.name = "viv diff",
        .usage = "SANDBOX",
        .about = "Lists what a sandbox has changed in its root: A, added; C, changed; D, deleted.",
        .most = 1,
        .tables = {&diff_table}};

static int add_difference(enum image_diff_kind kind, const char *path, void *data)
{
    static const char *const members[] = {"added", "changed", "deleted"};
    struct json_object *object = data;
    struct json_object *array = json_get(object, members[kind]);

    if (!array) {
        array = json_object_new_array();
        json_object_object_add(object, members[kind], array);
    }
    json_object_array_add(array, json_object_new_string(path));
    return 0;
}

static int print_difference(enum image_diff_kind kind, const char *path, void *data)
{
    (void)data;
    printf("%c ", "ACD"[kind]);
    style_print_line(stdout, path);
    return 0;
}

static int add_difference_row(enum image_diff_kind kind, const char *path, void *data)
{
    const char type[2] = {"ACD"[kind], '\0'};
    struct json_object *row = json_object_new_object();

    json_add_str(row, "Type", type);
    json_add_str(row, "Path", path);
    json_object_array_add(data, row);
    return 0;
}

static const struct format_list diff_list = {.usual = "{{.Type}}\t{{.Path}}"};

/* How what is found is taken up, and then printed. */
static image_diff_fn diff_taker(const char *format, struct json_object **ret_found)
{
    if (!format || str_equal(format, "text"))
        return print_difference;
    *ret_found = str_equal(format, "json") ? json_object_new_object() : json_object_new_array();
    return str_equal(format, "json") ? add_difference : add_difference_row;
}

static int diff_root(void *data, char *out, struct error *err)
{
    const struct on_root *on = data;
    _cleanup_json_ struct json_object *found = NULL;
    image_diff_fn take = diff_taker(on->output, &found);
    struct image_store *store;

    (void)out;
    int r = engine_images(on->engine, NULL, &store, err);
    if (r == 0)
        r = image_root_diff(store, on->sandbox->meta.id, take, found, err);
    if (r == -ENOENT && on->sandbox->status == SPEC_CREATED)
        r = 0; /* it was never started: there is nothing yet */
    if (r == 0 && take == add_difference)
        style_print_line(stdout, json_text_pretty(found));
    else if (r == 0 && found)
        r = format_print(on->engine->arena, on->output, &diff_list, found, stdout, err);
    fflush(stdout);
    return r;
}

int cli_diff(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct save_flags flags = {0};
    struct strv rest = {0};
    char out[ROOTLESS_OUT_MAX];
    int r = cli_parse(cli, &diff_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_latest(cli, flags.latest, 1, &rest, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_find(&engine, rest.words[0], &sandbox, err);
    if (r == 0)
        r = engine_root_is_here(&engine, &sandbox, err);
    if (r == 0 && !sandbox.meta.image_id && !sandbox.meta.image_folder)
        r = error_set(err, EOPNOTSUPP,
                "sandbox \"%s\" works on the folder %s itself: what it has changed there is not "
                "kept apart",
                sandbox.meta.name, sandbox.meta.image);
    struct on_root on = {.engine = &engine, .sandbox = &sandbox, .output = flags.format};
    return r < 0 ? r : rootless_call(cli->arena, &engine.host, diff_root, &on, out, err);
}
