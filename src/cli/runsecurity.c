#include "cli/runsecurity.h"

#include <ctype.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "spec/defaults.h"

static const struct option_row rows[] = {
        RUN_ROW(0, "cap-add", OPTION_LIST, cap_add, "CAPABILITY", "Add one, or ALL"),
        RUN_ROW(0, "cap-drop", OPTION_LIST, cap_drop, "CAPABILITY", "Take one away, or ALL"),
        RUN_ROW(0, "security-opt", OPTION_LIST, security_opt, "OPTION",
                "no-new-privileges, seccomp=unconfined|FILE, apparmor=PROFILE, label=…, "
                "mask=PATHS, unmask=PATHS|ALL"),
        RUN_ROW(0, "privileged", OPTION_FLAG, privileged, NULL,
                "All capabilities and devices, no filters, and the host's user ids"),
};
const struct option_table run_security_table = OPTION_TABLE("Security", rows);

#define ALL "CAP_ALL"

/* "net_admin" and "CAP_NET_ADMIN" alike; NULL, and an error, for what is none. */
static const char *read_capability(
        struct arena *arena, const char *flag, const char *text, struct error *err)
{
    bool prefixed = strncasecmp(text, "CAP_", 4) == 0;
    char *name = arena_printf(arena, "%s%.64s", prefixed ? "" : "CAP_", text);

    for (char *at = name; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    if (str_equal(name, ALL) || spec_words_have(&spec_capabilities, name))
        return name;
    const char *closest = spec_words_closest_after(&spec_capabilities, "CAP_", name + 4);
    if (closest)
        error_set(
                err, EINVAL, "--%s %s: unknown capability; did you mean %s?", flag, text, closest);
    else
        error_set(err, EINVAL, "--%s %s: unknown capability, see capabilities(7)", flag, text);
    return NULL;
}

static int read_capabilities(struct run_build *build, const char *flag, const struct strv *given,
        struct strv *names, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        struct strv words = {0};
        strv_split(build->arena, &words, given->words[i], ',');
        for (size_t j = 0; j < words.count; j++) {
            const char *name = read_capability(build->arena, flag, words.words[j], err);
            if (!name)
                return -EINVAL;
            strv_add(build->arena, names, name);
        }
    }
    return 0;
}

/* In the kernel's order. ALL that is added is thinned by what is dropped; ALL that is dropped is
 * filled by what is added; otherwise dropping wins over adding, as the careful reading. */
static void combine_capabilities(struct arena *arena, const struct strv *before,
        const struct strv *added, const struct strv *dropped, struct strv *ret)
{
    bool add_all = strv_contains(added, ALL);
    bool drop_all = strv_contains(dropped, ALL);

    for (size_t i = 0; i < spec_capabilities.count; i++) {
        const char *name = spec_capabilities.words[i];
        bool start = (strv_contains(before, name) && !drop_all) || (add_all && !drop_all);
        bool named = strv_contains(added, name);
        if ((start || named) && !strv_contains(dropped, name))
            strv_add(arena, ret, name);
    }
}

static void add_words(struct arena *arena, struct strv *list, const struct spec_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        strv_add(arena, list, words->words[i]);
}

static int apply_capabilities(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct spec_process *process = build->spec->process;
    struct strv added = {0};
    struct strv dropped = {0};
    struct strv before = {0};
    struct strv after = {0};

    if (read_capabilities(build, "cap-add", &flags->cap_add, &added, err) < 0 ||
            read_capabilities(build, "cap-drop", &flags->cap_drop, &dropped, err) < 0)
        return -EINVAL;
    if (strv_contains(&added, ALL) && strv_contains(&dropped, ALL))
        return error_set(err, EINVAL, "--cap-add ALL and --cap-drop ALL contradict each other");
    if (!flags->privileged && added.count == 0 && dropped.count == 0)
        return 0;
    if (flags->privileged)
        add_words(build->arena, &before, &spec_capabilities);
    else if (process->capabilities)
        before = process->capabilities->bounding;
    combine_capabilities(build->arena, &before, &added, &dropped, &after);
    struct spec_capabilities *sets = arena_new(build->arena, struct spec_capabilities);
    *sets = (struct spec_capabilities){.bounding = after, .effective = after, .permitted = after};
    process->capabilities = sets;
    return 0;
}

/* A list of paths, "/a:/b". */
static int read_paths(struct run_build *build, const char *option, const char *value,
        struct strv *paths, struct error *err)
{
    strv_split(build->arena, paths, value, ':');
    for (size_t i = 0; i < paths->count; i++) {
        if (paths->words[i][0] != '/')
            return error_set(err, EINVAL,
                    "--security-opt %s=%s: write absolute paths with colons between", option,
                    value);
        paths->words[i] = path_clean(build->arena, paths->words[i]);
    }
    return paths->count
                   ? 0
                   : error_set(err, EINVAL, "--security-opt %s=%s: no path given", option, value);
}

static void remove_path(struct strv *list, const char *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (!path_is_below(list->words[i], path))
            list->words[kept++] = list->words[i];
    list->count = kept;
    if (list->words)
        list->words[kept] = NULL;
}

static int set_mask(struct run_build *build, const char *value, struct error *err)
{
    struct strv paths = {0};

    if (read_paths(build, "mask", value, &paths, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < paths.count; i++)
        strv_add(build->arena, &build->spec->linux.maskedPaths, paths.words[i]);
    return 0;
}

static int set_unmask(struct run_build *build, const char *value, struct error *err)
{
    struct spec_linux *linux = &build->spec->linux;
    struct strv paths = {0};

    if (strcasecmp(value, "ALL") == 0) {
        linux->maskedPaths = (struct strv){0};
        linux->readonlyPaths = (struct strv){0};
        return 0;
    }
    if (read_paths(build, "unmask", value, &paths, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < paths.count; i++) {
        remove_path(&linux->maskedPaths, paths.words[i]);
        remove_path(&linux->readonlyPaths, paths.words[i]);
    }
    return 0;
}

static int set_no_new_privileges(struct run_build *build, const char *value, struct error *err)
{
    if (*value && !str_equal(value, "true") && !str_equal(value, "false"))
        return error_set(err, EINVAL,
                "--security-opt no-new-privileges=%s: write true or false, or nothing", value);
    build->spec->process->noNewPrivileges = !str_equal(value, "false");
    return 0;
}

static int set_seccomp(struct run_build *build, const char *value, struct error *err)
{
    if (!*value)
        return error_set(err, EINVAL, "--security-opt seccomp=: write unconfined, or a file");
    build->choices->seccomp_unconfined = str_equal(value, "unconfined");
    build->choices->seccomp_file =
            str_equal(value, "unconfined") || str_equal(value, "builtin") ? NULL : value;
    if (build->choices->seccomp_unconfined)
        build->spec->linux.seccomp = NULL;
    return 0;
}

static int set_apparmor(struct run_build *build, const char *value, struct error *err)
{
    if (!*value)
        return error_set(err, EINVAL, "--security-opt apparmor=: write a profile, or unconfined");
    build->choices->apparmor = value;
    build->spec->process->apparmorProfile = str_equal(value, "unconfined") ? NULL : value;
    return 0;
}

static int set_label(struct run_build *build, const char *value, struct error *err)
{
    static const char *const kinds[] = {"user:", "role:", "type:", "level:", "filetype:"};
    bool good = str_equal(value, "disable") || str_equal(value, "nested");

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        good |= str_starts(value, kinds[i]) && value[strlen(kinds[i])];
    if (!good)
        return error_set(err, EINVAL,
                "--security-opt label=%s: write disable, or user:, role:, type:, level: or "
                "filetype: and a value",
                value);
    strv_add(build->arena, &build->choices->selinux, value);
    return 0;
}

static int set_system_paths(struct run_build *build, const char *value, struct error *err)
{
    if (!str_equal(value, "unconfined"))
        return error_set(
                err, EINVAL, "--security-opt systempaths=%s: only unconfined is known", value);
    return set_unmask(build, "ALL", err);
}

/* Options of procfs, such as hidepid=2. */
static int set_proc_options(struct run_build *build, const char *value, struct error *err)
{
    for (size_t i = 0; i < build->spec->mounts.count; i++)
        if (str_equal(build->spec->mounts.items[i].type, "proc")) {
            strv_split(build->arena, &build->spec->mounts.items[i].options, value, ',');
            return 0;
        }
    return error_set(err, EINVAL, "--security-opt proc-opts=%s: there is no proc mount", value);
}

struct security_option {
    const char *name;
    int (*set)(struct run_build *build, const char *value, struct error *err);
};

static const struct security_option options[] = {
        {"no-new-privileges", set_no_new_privileges},
        {"seccomp", set_seccomp},
        {"apparmor", set_apparmor},
        {"label", set_label},
        {"mask", set_mask},
        {"unmask", set_unmask},
        {"systempaths", set_system_paths},
        {"proc-opts", set_proc_options},
};

/* "NAME=VALUE", with the colon that Docker once had as good, or a name alone. */
static int apply_option(struct run_build *build, const char *text, struct error *err)
{
    size_t length = strcspn(text, "=:");
    const char *value = text[length] ? text + length + 1 : "";
    const char *names[ARRAY_SIZE(options)];

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        names[i] = options[i].name;
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0)
            return options[i].set(build, value, err);
    }
    const char *closest =
            str_closest(arena_strndup(build->arena, text, length), names, ARRAY_SIZE(options));
    if (closest)
        return error_set(
                err, EINVAL, "--security-opt %.128s: unknown; did you mean %s?", text, closest);
    return error_set(err, EINVAL,
            "--security-opt %.128s: unknown; write no-new-privileges, seccomp=, apparmor=, label=, "
            "mask= or unmask=",
            text);
}

/* What --privileged takes away; options behind it may put some back. */
static void apply_privileged(struct run_build *build)
{
    struct spec *spec = build->spec;

    build->choices->privileged = true;
    build->choices->seccomp_unconfined = true;
    build->choices->apparmor = "unconfined";
    spec->linux.seccomp = NULL;
    spec->process->apparmorProfile = NULL;
    spec->linux.maskedPaths = (struct strv){0};
    spec->linux.readonlyPaths = (struct strv){0};
    spec->linux.resources.devices.count = 0;
    spec_add_device_rule(build->arena, &spec->linux.resources, true, "rwm");
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct spec_mount *mount = &spec->mounts.items[i];
        bool system = str_equal(mount->type, "sysfs") || str_equal(mount->type, "cgroup");
        for (size_t j = 0; system && j < mount->options.count; j++)
            if (str_equal(mount->options.words[j], "ro"))
                mount->options.words[j] = arena_strdup(build->arena, "rw");
    }
}

int run_security_apply(struct run_build *build, struct error *err)
{
    const struct strv *given = &build->flags->security_opt;

    if (build->flags->privileged)
        apply_privileged(build);
    for (size_t i = 0; i < given->count; i++)
        if (apply_option(build, given->words[i], err) < 0)
            return -EINVAL;
    return apply_capabilities(build, err);
}
