#include "cli/runflags.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "cli/detachkeys.h"
#include "cli/runbuild.h"
#include "cli/runlife.h"
#include "cli/runmounts.h"
#include "cli/runnamespaces.h"
#include "cli/runnetwork.h"
#include "cli/runprocess.h"
#include "cli/runresources.h"
#include "cli/runsecurity.h"
#include "spec/defaults.h"
#include "spec/signals.h"

#define NAME_MAX_LENGTH 128

static const struct option_row rows[] = {
        RUN_ROW(0, "name", OPTION_TEXT, name, "NAME",
                "Name of the sandbox; one is made up if not said"),
        RUN_ROW('d', "detach", OPTION_FLAG, detach, NULL, "Run in the background, print the id"),
        RUN_ROW(0, "rm", OPTION_FLAG, rm, NULL, "Remove the sandbox when it ends"),
        RUN_ROW('i', "interactive", OPTION_FLAG, interactive, NULL, "Keep standard input open"),
        RUN_ROW('t', "tty", OPTION_FLAG, tty, NULL, "Give it a terminal"),
        RUN_ROW('a', "attach", OPTION_LIST, attach, "stdin|stdout|stderr",
                "Sit at these streams alone, not at all of them"),
        RUN_ROW(0, "preserve-fds", OPTION_COUNT, preserve_fds, "N",
                "Pass so many descriptors on, from 3 on"),
        RUN_ROW(0, "detach-keys", OPTION_TEXT, detach_keys, "KEYS",
                "Keys that leave it running, ctrl-p,ctrl-q when not said"),
        RUN_ROW(0, "sig-proxy", OPTION_SWITCH, sig_proxy, NULL,
                "--sig-proxy=false: signals end the command, not the workload"),
        RUN_ROW(0, "isolation", OPTION_CHOICE, isolation, "container|vm",
                "On the host's kernel, or in a machine of its own"),
        RUN_ROW(0, "accel", OPTION_CHOICE, accel, "auto|kvm|emu",
                "what runs the CPUs of a machine (auto)"),
        RUN_ROW(0, "portable", OPTION_FLAG, portable, NULL,
                "show a machine only CPU features that kvm and emu both have"),
        RUN_ROW(0, "kernel", OPTION_TEXT, kernel, "DIR",
                "boot this kernel: a folder with vmlinuz, initramfs and facts.json"),
        RUN_ROW(0, "rootfs", OPTION_TEXT, rootfs, "DIR",
                "Use this root directory instead of an image"),
        RUN_ROW('b', "bundle", OPTION_TEXT, bundle, "DIR",
                "Use this OCI bundle instead of an image"),
        RUN_ROW(0, "pull", OPTION_CHOICE, pull, "always|missing|never|newer",
                "When to fetch the image (missing)"),
        RUN_ROW(0, "platform", OPTION_TEXT, platform, "OS/ARCH[/VARIANT]",
                "Of a list of images, this one (this machine's)"),
        RUN_ROW(0, "os", OPTION_TEXT, os, "OS", "The platform in parts: its operating system"),
        RUN_ROW(0, "arch", OPTION_TEXT, arch, "ARCH", "Its processor: arm64"),
        RUN_ROW(0, "variant", OPTION_TEXT, variant, "VARIANT", "Of that: v7"),
        RUN_ROW(0, "disable-content-trust", OPTION_FLAG, ignored, NULL, NULL),
        RUN_ROW('q', "quiet", OPTION_FLAG, quiet, NULL, "No progress while the image is fetched"),
        RUN_ROW(0, "authfile", OPTION_TEXT, authfile, "FILE", "Where passwords are kept"),
        RUN_ROW(0, "cert-dir", OPTION_TEXT, cert_dir, "DIR",
                "Certificates: ca.crt, client.cert, client.key"),
        RUN_ROW(0, "creds", OPTION_TEXT, creds, "USER:PASSWORD", "Who to be at the registry"),
        RUN_ROW(0, "tls-verify", OPTION_SWITCH, tls_verify, NULL,
                "--tls-verify=false: any certificate, and plain http"),
        RUN_ROW(0, "init", OPTION_FLAG, init, NULL, "A small init as pid 1, which reaps orphans"),
        RUN_ROW(0, "stop-signal", OPTION_TEXT, stop_signal, "SIGNAL", "What 'stop' sends first"),
        RUN_ROW(0, "stop-timeout", OPTION_TIME, stop_timeout, "TIME",
                "How long 'stop' waits before it kills"),
        RUN_ROW('l', "label", OPTION_LIST, label, "KEY[=VALUE]", "Describe the sandbox"),
        RUN_ROW(0, "label-file", OPTION_LIST, label_file, "FILE", "Labels of a file, one a line"),
        RUN_ROW(0, "annotation", OPTION_LIST, annotation, "KEY=VALUE",
                "Describe it in the OCI configuration"),
        RUN_ROW(0, "cidfile", OPTION_TEXT, cidfile, "FILE",
                "Write the sandbox's id to this new file"),
        RUN_ROW(0, "replace", OPTION_FLAG, replace, NULL,
                "Take away the sandbox that has the name, if there is one"),
        RUN_ROW(0, "pidfile", OPTION_TEXT, pidfile, "FILE", "Write the process's id there"),
        RUN_ROW(0, "trace", OPTION_FLAG, trace, NULL, "Print each step, its time and result"),
        RUN_ROW(0, "step", OPTION_FLAG, step, NULL, "Stop before each step"),
};
static const struct option_table sandbox_table = OPTION_TABLE("Sandbox", rows);

struct option_command run_flags_command(const char *name, const char *about)
{
    return (struct option_command){.name = name,
            .usage = "IMAGE|--rootfs DIR|--bundle DIR [--] [COMMAND…]",
            .about = about,
            .order = OPTIONS_FIRST,
            .most = SIZE_MAX,
            .tables = {&sandbox_table, &run_life_table, &run_process_table, &run_mounts_table,
                    &run_namespaces_table, &run_network_table, &run_security_table,
                    &run_resources_table}};
}

/* As Docker and Podman have it; a name is also a file's. */
static int check_name(const char *name, struct error *err)
{
    if (!str_is_name(name, NAME_MAX_LENGTH))
        return error_set(err, EINVAL,
                "--name \"%.128s\": write up to %d letters, digits, \"_\", \".\" and \"-\", a "
                "letter or digit first",
                name, NAME_MAX_LENGTH);
    return 0;
}

/* A label without "=" has an empty value. */
static int add_label(
        struct run_build *build, const char *text, const char *where, struct error *err)
{
    const char *key = text;
    const char *value = "";

    if (!*text || *text == '=')
        return error_set(err, EINVAL, "%s \"%s\": the key is missing", where, text);
    run_split(build->arena, text, '=', &key, &value);
    spec_map_set(build->arena, &build->choices->labels, key, value);
    return 0;
}

static int read_labels(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct run_image *image = build->input->image;
    struct record_map *labels = &build->choices->labels;
    const char *key;
    const char *value;

    for (size_t i = 0; image && i < image->labels.count; i++)
        spec_map_set(
                build->arena, labels, image->labels.items[i].key, image->labels.items[i].value);
    int r = run_lines(
            build, "--label-file", &flags->label_file, &build->input->label_files, add_label, err);
    for (size_t i = 0; r == 0 && i < flags->label.count; i++)
        r = add_label(build, flags->label.words[i], "--label", err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < flags->annotation.count; i++) {
        if (run_split(build->arena, flags->annotation.words[i], '=', &key, &value) < 0)
            return error_set(err, EINVAL, "--annotation \"%s\": write KEY=VALUE",
                    flags->annotation.words[i]);
        spec_map_set(build->arena, &build->spec->annotations, key, value);
    }
    return 0;
}

static int read_stop_signal(struct run_build *build, struct error *err)
{
    const struct run_image *image = build->input->image;
    const char *given = build->flags->stop_signal;
    const char *text = given ? given : image && image->stop_signal ? image->stop_signal : "TERM";

    if (signal_parse(text, &build->choices->stop_signal, err) < 0)
        return error_prefix(err, "%s", given ? "--stop-signal" : "the image's stop signal");
    return 0;
}

/* An image's name is the first argument, unless a root or a bundle was named. A "--" behind it is
 * no part of the command. */
static int read_source(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct run_choices *choices = build->choices;
    const struct strv *given = &build->input->arguments;
    bool image = !flags->rootfs && !flags->bundle;

    if (flags->rootfs && flags->bundle)
        return error_set(err, EINVAL, "--rootfs and --bundle both name a root: give one of them");
    if ((flags->rootfs && !*flags->rootfs) || (flags->bundle && !*flags->bundle))
        return error_set(
                err, EINVAL, "--%s: the path is empty", flags->rootfs ? "rootfs" : "bundle");
    if (image && (given->count == 0 || !*given->words[0]))
        return error_set(err, EINVAL,
                "no image given: name one (busybox is built in), or use --rootfs DIR or --bundle "
                "DIR");
    choices->rootfs = flags->rootfs;
    choices->bundle = flags->bundle;
    choices->image = image ? given->words[0] : NULL;
    size_t first = image;
    if (image && first < given->count && str_equal(given->words[first], "--"))
        first++;
    for (; first < given->count; first++)
        strv_add(build->arena, &choices->arguments, given->words[first]);
    return 0;
}

/* Which streams are sat at, by their names; several stand in one word with commas, too. */
static int read_attach(struct run_build *build, struct error *err)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    const char *text;

    if (build->flags->attach.count && build->flags->detach)
        return error_set(err, EINVAL, "--attach and --detach contradict each other");
    strv_foreach (text, &build->flags->attach) {
        char *rest = arena_strdup(build->arena, text);
        for (char *word; (word = strsep(&rest, ","));) {
            size_t i = 0;
            while (i < ARRAY_SIZE(names) && strcasecmp(word, names[i]) != 0)
                i++;
            if (i == ARRAY_SIZE(names))
                return error_set(err, EINVAL, "--attach %.64s: stdin, stdout or stderr", text);
            build->choices->attach[i] = true;
        }
    }
    return 0;
}

static int read_preserved(struct run_build *build, struct error *err)
{
    uint64_t count = build->flags->preserve_fds.value;

    if (count && build->choices->vm)
        return error_set(err, EOPNOTSUPP,
                "--preserve-fds: a machine's processes cannot have descriptors of this host");
    if (run_preserved_check(count, err) < 0)
        return -EINVAL;
    build->choices->preserve_fds = (unsigned)count;
    return 0;
}

int run_preserved_check(uint64_t count, struct error *err)
{
    if (count <= RUN_PRESERVE_MAX)
        return 0;
    return error_set(err, EINVAL, "--preserve-fds: at most %d", RUN_PRESERVE_MAX);
}

static int apply_sandbox(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct run_choices *choices = build->choices;

    if (read_source(build, err) < 0 || (flags->name && check_name(flags->name, err) < 0))
        return -EINVAL;
    if (flags->detach && flags->step)
        return error_set(err, EINVAL, "--step asks questions, and --detach has nobody to answer");
    if (flags->replace && !flags->name)
        return error_set(err, EINVAL, "--replace: say which one with --name");
    choices->name = flags->name;
    choices->detach = flags->detach;
    choices->rm = flags->rm;
    choices->interactive = flags->interactive;
    choices->tty = flags->tty;
    choices->vm = str_equal(flags->isolation, "vm");
    choices->accel = flags->accel;
    choices->portable = flags->portable;
    choices->kernel = flags->kernel;
    choices->init = flags->init;
    choices->stop_timeout = flags->stop_timeout;
    choices->pidfile = flags->pidfile;
    choices->trace = flags->trace;
    choices->step = flags->step;
    if (detach_keys_read(build->arena, flags->detach_keys, &choices->detach_keys, err) < 0 ||
            read_labels(build, err) < 0 || read_attach(build, err) < 0)
        return -EINVAL;
    int r = read_preserved(build, err);
    if (r < 0)
        return r;
    return read_stop_signal(build, err);
}

/* A configuration of our own, so that the bundle's stays as it is. */
static struct spec *copy_spec(struct arena *arena, const struct spec *spec)
{
    struct record_report report = {.arena = arena};
    struct spec *copy = arena_new(arena, struct spec);
    _cleanup_json_ struct json_object *json = spec_write(spec);

    spec_read(json, copy, &report);
    if (!copy->process)
        copy->process = arena_new(arena, struct spec_process);
    if (!copy->root)
        copy->root = arena_new(arena, struct spec_root);
    return copy;
}

/* Namespaces come before mounts: whose IPC and PIDs are shown decides what is mounted. */
static int apply_all(struct run_build *build, struct error *err)
{
    int r = apply_sandbox(build, err);

    if (r == 0)
        r = run_life_apply(build, err);
    if (r == 0)
        r = run_process_apply(build, err);
    if (r == 0)
        r = run_namespaces_apply(build, err);
    if (r == 0)
        r = run_network_apply(build, err);
    if (r == 0)
        r = run_security_apply(build, err);
    if (r == 0)
        r = run_mounts_apply(build, err);
    if (r == 0)
        r = run_resources_apply(build, err);
    return r;
}

int run_flags_build(struct arena *arena, const struct run_flags *flags,
        const struct run_input *input, struct spec **ret_spec, struct run_choices *ret,
        struct error *err)
{
    struct run_choices choices = {0};
    struct run_build build = {.arena = arena,
            .flags = flags,
            .input = input,
            .spec = input->bundle ? copy_spec(arena, input->bundle)
                                  : spec_default_new(arena, SPEC_DEFAULT_RUN, 0, 0),
            .choices = &choices};

    int r = apply_all(&build, err);
    if (r < 0)
        return r;
    if (!input->bundle && flags->rootfs)
        build.spec->root->path = flags->rootfs;
    *ret_spec = build.spec;
    *ret = choices;
    return 0;
}
