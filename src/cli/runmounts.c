#include "cli/runmounts.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "spec/defaults.h"

static const struct option_row rows[] = {
        RUN_ROW('v', "volume", OPTION_LIST, volume, "[SOURCE:]DIR[:OPTIONS]",
                "Show a directory of the host, or a volume, inside"),
        RUN_ROW(0, "mount", OPTION_LIST, mount, "KEY=VALUE,…",
                "The same in words: type=bind|volume|tmpfs,source=…,target=…"),
        RUN_ROW(0, "volumes-from", OPTION_LIST, volumes_from, "SANDBOX[:ro]",
                "What another sandbox has mounted, too"),
        RUN_ROW(0, "tmpfs", OPTION_LIST, tmpfs, "DIR[:OPTIONS]", "A file system in memory"),
        RUN_ROW(0, "device", OPTION_LIST, device, "PATH[:INSIDE][:rwm]", "Allow and show a device"),
        RUN_ROW(0, "shm-size", OPTION_BYTES, shm_size, "BYTES",
                "Size of /dev/shm, 64m when not said"),
        RUN_ROW(0, "read-only", OPTION_FLAG, read_only, NULL, "Nothing can be written to the root"),
        RUN_ROW(0, "read-only-tmpfs", OPTION_SWITCH, read_only_tmpfs, NULL,
                "With it, a tmpfs on each of /run, /tmp and /var/tmp"),
        RUN_ROW(0, "tz", OPTION_TEXT, tz, "local|ZONE",
                "Its time zone: the host's, or one that the host has"),
};
const struct option_table run_mounts_table = OPTION_TABLE("File system", rows);

#define ZONE_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_/"

/* A mount of the user's while it is read. */
struct wanted {
    const char *flag; /* "--volume /a:/b", for messages */
    const char *type; /* "bind", "volume", "tmpfs" … */
    const char *source;
    const char *destination;
    struct strv options;
    const char *access;      /* "ro", "rro", "rw", NULL */
    const char *propagation; /* NULL: rprivate for binds */
    bool flat;               /* bind, not rbind */
    const char *relabel;     /* "z", "Z", NULL */
    bool no_copy;
    bool subpath;
};

static int wrong(const struct wanted *wanted, struct error *err, const char *what)
{
    return error_set(err, EINVAL, "%s: %s", wanted->flag, what);
}

enum option_effect {
    EFFECT_ACCESS,
    EFFECT_PROPAGATION,
    EFFECT_PASS, /* a mount option as it is */
    EFFECT_FLAT,
    EFFECT_DEEP,
    EFFECT_RELABEL,
    EFFECT_NO_COPY,
    EFFECT_NOTHING,
};

struct volume_option {
    const char *name;
    enum option_effect effect;
    const char *text;
};

/* What may stand behind the second colon of -v. A read-only bind is so with all that is mounted
 * below it, which "ro" alone would leave writable. */
static const struct volume_option volume_options[] = {
        {"ro", EFFECT_ACCESS, "rro"},
        {"readonly", EFFECT_ACCESS, "rro"},
        {"rro", EFFECT_ACCESS, "rro"},
        {"ro-non-recursive", EFFECT_ACCESS, "ro"},
        {"rw", EFFECT_ACCESS, "rw"},
        {"private", EFFECT_PROPAGATION, "private"},
        {"rprivate", EFFECT_PROPAGATION, "rprivate"},
        {"shared", EFFECT_PROPAGATION, "shared"},
        {"rshared", EFFECT_PROPAGATION, "rshared"},
        {"slave", EFFECT_PROPAGATION, "slave"},
        {"rslave", EFFECT_PROPAGATION, "rslave"},
        {"unbindable", EFFECT_PROPAGATION, "unbindable"},
        {"runbindable", EFFECT_PROPAGATION, "runbindable"},
        {"bind", EFFECT_FLAT, NULL},
        {"rbind", EFFECT_DEEP, NULL},
        {"nosuid", EFFECT_PASS, "nosuid"},
        {"suid", EFFECT_PASS, "suid"},
        {"nodev", EFFECT_PASS, "nodev"},
        {"dev", EFFECT_PASS, "dev"},
        {"noexec", EFFECT_PASS, "noexec"},
        {"exec", EFFECT_PASS, "exec"},
        {"noatime", EFFECT_PASS, "noatime"},
        {"nosymfollow", EFFECT_PASS, "nosymfollow"},
        {"idmap", EFFECT_PASS, "idmap"},
        {"z", EFFECT_RELABEL, "z"},
        {"Z", EFFECT_RELABEL, "Z"},
        {"U", EFFECT_PASS, "U"},
        {"nocopy", EFFECT_NO_COPY, NULL},
        {"copy", EFFECT_NOTHING, NULL},
        {"cached", EFFECT_NOTHING, NULL},
        {"delegated", EFFECT_NOTHING, NULL},
        {"consistent", EFFECT_NOTHING, NULL},
};

static const struct volume_option *find_option(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(volume_options); i++)
        if (str_equal(volume_options[i].name, name))
            return &volume_options[i];
    return NULL;
}

static int unknown_option(const struct wanted *wanted, const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(volume_options)];

    for (size_t i = 0; i < ARRAY_SIZE(volume_options); i++)
        names[i] = volume_options[i].name;
    const char *closest = str_closest(name, names, ARRAY_SIZE(names));
    if (closest && strlen(name) > 2)
        return error_set(err, EINVAL, "%s: unknown option \"%.64s\"; did you mean %s?",
                wanted->flag, name, closest);
    return error_set(err, EINVAL,
            "%s: unknown option \"%.64s\": write ro, rw, z, Z, a propagation such as rslave, or a "
            "mount option such as noexec",
            wanted->flag, name);
}

static int set_access(struct wanted *wanted, const char *access, struct error *err)
{
    if (wanted->access && !str_equal(wanted->access, access))
        return wrong(wanted, err, "it cannot be read-only and writable at once");
    wanted->access = access;
    return 0;
}

static int set_propagation(struct wanted *wanted, const char *name, struct error *err)
{
    if (!spec_words_have(&spec_propagations, name))
        return error_set(err, EINVAL,
                "%s: unknown propagation \"%.64s\": write private, shared, slave or unbindable, or "
                "one of them with an r in front",
                wanted->flag, name);
    if (wanted->propagation && !str_equal(wanted->propagation, name))
        return error_set(err, EINVAL, "%s: %s and %s contradict each other", wanted->flag,
                wanted->propagation, name);
    wanted->propagation = name;
    return 0;
}

static int set_relabel(struct wanted *wanted, const char *letter, struct error *err)
{
    if (wanted->relabel && !str_equal(wanted->relabel, letter))
        return wrong(wanted, err, "z and Z contradict each other");
    wanted->relabel = letter;
    return 0;
}

static int add_option(
        struct run_build *build, struct wanted *wanted, const char *name, struct error *err)
{
    const struct volume_option *option = find_option(name);

    if (!option)
        return unknown_option(wanted, name, err);
    switch (option->effect) {
    case EFFECT_ACCESS:
        return set_access(wanted, option->text, err);
    case EFFECT_PROPAGATION:
        return set_propagation(wanted, option->text, err);
    case EFFECT_PASS:
        strv_add(build->arena, &wanted->options, option->text);
        return 0;
    case EFFECT_FLAT:
    case EFFECT_DEEP:
        wanted->flat = option->effect == EFFECT_FLAT;
        return 0;
    case EFFECT_RELABEL:
        return set_relabel(wanted, option->text, err);
    case EFFECT_NO_COPY:
        wanted->no_copy = true;
        return 0;
    case EFFECT_NOTHING:
        return 0;
    }
    return 0;
}

static bool is_volume_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && (at == name || !strchr("_.-", *at)))
            return false;
    return *name != '\0';
}

/* A path of the host as an absolute one; those relative to the caller's directory start with a
 * dot, since other words are names of volumes. */
static int absolute_source(struct run_build *build, struct wanted *wanted, struct error *err)
{
    if (wanted->source[0] == '/')
        return 0;
    if (!build->input->directory)
        return wrong(wanted, err, "the source is not an absolute path");
    wanted->source = path_clean(
            build->arena, path_join(build->arena, build->input->directory, wanted->source));
    return 0;
}

static int check_destination(struct run_build *build, struct wanted *wanted, struct error *err)
{
    if (str_empty(wanted->destination))
        return wrong(wanted, err, "where to mount is missing: write DIR, or target=DIR");
    if (wanted->destination[0] != '/')
        return error_set(err, EINVAL, "%s: \"%.256s\" is not an absolute path", wanted->flag,
                wanted->destination);
    wanted->destination = path_clean(build->arena, wanted->destination);
    if (str_equal(wanted->destination, "/"))
        return wrong(wanted, err, "the root cannot be mounted over: use --rootfs");
    return 0;
}

/* The configuration's own mount there gives way to the user's. */
static void displace_mount(struct spec *spec, const char *destination)
{
    size_t kept = 0;

    for (size_t i = 0; i < spec->mounts.count; i++)
        if (!str_equal(spec->mounts.items[i].destination, destination))
            spec->mounts.items[kept++] = spec->mounts.items[i];
    spec->mounts.count = kept;
}

/* The letter goes along as a mount option; see rootfs/relabel.h. */
static void add_relabel(struct run_build *build, const struct wanted *wanted, struct strv *options)
{
    if (!wanted->relabel)
        return;
    strv_add(build->arena, options, wanted->relabel);
    strv_add(build->arena, &build->choices->relabels, wanted->source);
}

static void add_volume(struct run_build *build, const struct wanted *wanted)
{
    struct run_volume *volume = RECORD_APPEND(build->arena, &build->choices->volumes);

    *volume = (struct run_volume){wanted->source, wanted->destination, {0}, !wanted->no_copy};
    for (size_t i = 0; i < wanted->options.count; i++)
        strv_add(build->arena, &volume->options, wanted->options.words[i]);
    if (wanted->propagation)
        strv_add(build->arena, &volume->options, wanted->propagation);
    if (wanted->access)
        strv_add(build->arena, &volume->options, wanted->access);
    add_relabel(build, wanted, &volume->options);
}

static void add_mount(struct run_build *build, const struct wanted *wanted)
{
    struct arena *arena = build->arena;
    bool bind = str_equal(wanted->type, "bind");
    struct spec_mount *mount = spec_add_mount(arena, build->spec, wanted->destination, wanted->type,
            bind ? wanted->source : wanted->type, NULL);

    if (bind)
        strv_add(arena, &mount->options, wanted->flat ? "bind" : "rbind");
    if (bind || wanted->propagation)
        strv_add(arena, &mount->options, wanted->propagation ? wanted->propagation : "rprivate");
    for (size_t i = 0; i < wanted->options.count; i++)
        strv_add(arena, &mount->options, wanted->options.words[i]);
    if (wanted->access)
        strv_add(arena, &mount->options,
                bind && wanted->flat && str_equal(wanted->access, "rro") ? "ro" : wanted->access);
    add_relabel(build, wanted, &mount->options);
}

/* The user's mounts, outer ones first, so that none hides another. */
struct wanted_list {
    struct wanted *items;
    size_t count;
};

static size_t path_depth(const char *path)
{
    size_t depth = 0;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static int add_wanted(
        struct run_build *build, struct wanted_list *list, struct wanted wanted, struct error *err)
{
    if (check_destination(build, &wanted, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < list->count; i++)
        if (str_equal(list->items[i].destination, wanted.destination))
            return error_set(err, EINVAL, "%s: %s is mounted over already, by %s", wanted.flag,
                    wanted.destination, list->items[i].flag);
    struct wanted *slot = RECORD_APPEND(build->arena, list);
    for (; slot > list->items; slot--) {
        if (path_depth(slot[-1].destination) <= path_depth(wanted.destination))
            break;
        *slot = slot[-1];
    }
    *slot = wanted;
    return 0;
}

/* [SOURCE:]DIR[:OPTIONS] */
static int read_volume(
        struct run_build *build, const char *text, struct wanted_list *list, struct error *err)
{
    struct wanted wanted = {.flag = arena_printf(build->arena, "--volume %.512s", text)};
    struct strv parts = {0};
    struct strv options = {0};

    if (strstr(text, "::") || text[0] == ':' || str_ends(text, ":"))
        return wrong(&wanted, err, "a part is empty: write [SOURCE:]DIR[:OPTIONS]");
    strv_split(build->arena, &parts, text, ':');
    if (parts.count == 0 || parts.count > 3)
        return wrong(&wanted, err, "write [SOURCE:]DIR[:OPTIONS]");
    wanted.source = parts.count > 1 ? parts.words[0] : NULL;
    wanted.destination = parts.words[parts.count > 1];
    bool path = wanted.source && strchr("/.", wanted.source[0]);
    wanted.type = path ? "bind" : "volume";
    if (wanted.source && !path && !is_volume_name(wanted.source))
        return error_set(err, EINVAL,
                "%s: \"%.256s\" is neither a path nor a volume's name: start a path with / or ./, "
                "and a name with a letter or digit",
                wanted.flag, wanted.source);
    if (path && absolute_source(build, &wanted, err) < 0)
        return -EINVAL;
    if (parts.count == 3)
        strv_split(build->arena, &options, parts.words[2], ',');
    for (size_t i = 0; i < options.count; i++)
        if (add_option(build, &wanted, options.words[i], err) < 0)
            return -EINVAL;
    return add_wanted(build, list, wanted, err);
}

/* Comma-separated fields; one in double quotes may have commas, "" inside is a quote. */
static int split_fields(struct arena *arena, const char *text, struct strv *fields)
{
    _cleanup_buf_ struct buf field = {0};
    bool quoted = false;

    for (const char *at = text;; at++) {
        if (quoted && *at == '"' && at[1] == '"')
            buf_add_char(&field, *at++);
        else if (*at == '"')
            quoted = !quoted;
        else if (*at && (quoted || *at != ','))
            buf_add_char(&field, *at);
        else {
            if (quoted)
                return -EINVAL;
            strv_add(arena, fields, buf_text(&field));
            buf_clear(&field);
        }
        if (!*at)
            return 0;
    }
}

static int read_true(const struct wanted *wanted, const char *key, const char *value, bool *ret,
        struct error *err)
{
    *ret = !value || str_equal(value, "true") || str_equal(value, "1");
    if (!*ret && !str_equal(value, "false") && !str_equal(value, "0"))
        return error_set(err, EINVAL, "%s: %s=%s: write true or false", wanted->flag, key, value);
    return 0;
}

static int set_mount_switch(struct run_build *build, struct wanted *wanted, const char *key,
        const char *value, struct error *err)
{
    bool on;

    if (read_true(wanted, key, value, &on, err) < 0)
        return -EINVAL;
    if (str_equal(key, "readonly") || str_equal(key, "ro"))
        return set_access(wanted, on ? "rro" : "rw", err);
    if (str_equal(key, "rw"))
        return set_access(wanted, on ? "rw" : "rro", err);
    if (str_equal(key, "bind-nonrecursive"))
        wanted->flat = on;
    else if (str_equal(key, "volume-nocopy"))
        wanted->no_copy = on;
    else if (str_equal(key, "idmap") && on)
        strv_add(build->arena, &wanted->options, "idmap");
    else if ((str_equal(key, "U") || str_equal(key, "chown")) && on)
        strv_add(build->arena, &wanted->options, "U");
    else if (str_equal(key, "tmpcopyup") && on)
        strv_add(build->arena, &wanted->options, "tmpcopyup");
    return 0;
}

static int set_mount_size(
        struct run_build *build, struct wanted *wanted, const char *value, struct error *err)
{
    uint64_t bytes;

    if (str_to_bytes(value, &bytes, err) < 0)
        return error_prefix(err, "%s", wanted->flag);
    strv_add(build->arena, &wanted->options, arena_printf(build->arena, "size=%" PRIu64, bytes));
    return 0;
}

static int set_mount_mode(
        struct run_build *build, struct wanted *wanted, const char *value, struct error *err)
{
    uint64_t mode;

    if (str_to_u64(value, 8, &mode) < 0 || mode > 07777)
        return error_set(err, EINVAL, "%s: \"%s\" is not an octal mode", wanted->flag, value);
    strv_add(build->arena, &wanted->options,
            arena_printf(build->arena, "mode=%04o", (unsigned)mode));
    return 0;
}

static int set_recursive(struct wanted *wanted, const char *value, struct error *err)
{
    if (str_equal(value, "disabled"))
        wanted->flat = true;
    else if (str_equal(value, "writable"))
        wanted->access = "ro";
    else if (str_equal(value, "readonly"))
        wanted->access = "rro";
    else if (!str_equal(value, "enabled"))
        return error_set(err, EINVAL,
                "%s: bind-recursive=%s: write enabled, disabled, writable or readonly",
                wanted->flag, value);
    return 0;
}

static int set_relabel_word(struct wanted *wanted, const char *value, struct error *err)
{
    if (!str_equal(value, "shared") && !str_equal(value, "private"))
        return error_set(
                err, EINVAL, "%s: relabel=%s: write shared or private", wanted->flag, value);
    return set_relabel(wanted, str_equal(value, "shared") ? "z" : "Z", err);
}

/* Where it leads is looked at when it is mounted, inside the volume. A part of a volume is there
 * already: nothing is copied into it. */
static int set_subpath(
        struct run_build *build, struct wanted *wanted, const char *value, struct error *err)
{
    if (!*value || *value == '/')
        return error_set(
                err, EINVAL, "%s: \"%.256s\" is no path below the volume", wanted->flag, value);
    strv_add(
            build->arena, &wanted->options, arena_printf(build->arena, "X-mount.subdir=%s", value));
    wanted->subpath = true;
    wanted->no_copy = true;
    return 0;
}

enum mount_key_kind {
    KEY_TYPE,
    KEY_SOURCE,
    KEY_TARGET,
    KEY_SWITCH,
    KEY_PROPAGATION,
    KEY_RECURSIVE,
    KEY_SIZE,
    KEY_MODE,
    KEY_RELABEL,
    KEY_SUBPATH,
    KEY_NOTHING,
};

static const struct mount_key {
    const char *name;
    enum mount_key_kind kind;
} mount_keys[] = {
        {"type", KEY_TYPE},
        {"source", KEY_SOURCE},
        {"src", KEY_SOURCE},
        {"target", KEY_TARGET},
        {"destination", KEY_TARGET},
        {"dst", KEY_TARGET},
        {"readonly", KEY_SWITCH},
        {"ro", KEY_SWITCH},
        {"rw", KEY_SWITCH},
        {"bind-propagation", KEY_PROPAGATION},
        {"bind-nonrecursive", KEY_SWITCH},
        {"bind-recursive", KEY_RECURSIVE},
        {"tmpfs-size", KEY_SIZE},
        {"tmpfs-mode", KEY_MODE},
        {"tmpcopyup", KEY_SWITCH},
        {"volume-nocopy", KEY_SWITCH},
        {"volume-subpath", KEY_SUBPATH},
        {"subpath", KEY_SUBPATH},
        {"idmap", KEY_SWITCH},
        {"U", KEY_SWITCH},
        {"chown", KEY_SWITCH},
        {"relabel", KEY_RELABEL},
        {"consistency", KEY_NOTHING},
};

static const struct mount_key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++)
        if (str_equal(mount_keys[i].name, name))
            return &mount_keys[i];
    return NULL;
}

static int unknown_key(const struct wanted *wanted, const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(mount_keys)];

    for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++)
        names[i] = mount_keys[i].name;
    const char *closest = str_closest(name, names, ARRAY_SIZE(names));
    if (closest)
        return error_set(err, EINVAL, "%s: unknown key \"%.64s\"; did you mean %s?", wanted->flag,
                name, closest);
    return error_set(err, EINVAL, "%s: unknown key \"%.64s\": write type, source, target, readonly",
            wanted->flag, name);
}

static int set_key(struct run_build *build, struct wanted *wanted, const struct mount_key *key,
        const char *value, struct error *err)
{
    if (!value && key->kind != KEY_SWITCH)
        return error_set(
                err, EINVAL, "%s: %s needs a value: %s=…", wanted->flag, key->name, key->name);
    switch (key->kind) {
    case KEY_TYPE:
        wanted->type = value;
        return 0;
    case KEY_SOURCE:
        wanted->source = value;
        return 0;
    case KEY_TARGET:
        wanted->destination = value;
        return 0;
    case KEY_SWITCH:
        return set_mount_switch(build, wanted, key->name, value, err);
    case KEY_PROPAGATION:
        return set_propagation(wanted, value, err);
    case KEY_RECURSIVE:
        return set_recursive(wanted, value, err);
    case KEY_SIZE:
        return set_mount_size(build, wanted, value, err);
    case KEY_MODE:
        return set_mount_mode(build, wanted, value, err);
    case KEY_RELABEL:
        return set_relabel_word(wanted, value, err);
    case KEY_SUBPATH:
        return set_subpath(build, wanted, value, err);
    case KEY_NOTHING:
        return 0;
    }
    return 0;
}

/* What each type of --mount needs and takes. */
static int check_type(struct run_build *build, struct wanted *wanted, struct error *err)
{
    static const char *const types[] = {"bind", "volume", "tmpfs", "devpts", "mqueue", "ramfs"};
    bool known = false;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        known |= str_equal(wanted->type, types[i]);
    if (!known)
        return error_set(err, EINVAL,
                "%s: unknown type \"%.64s\": write bind, volume, tmpfs, devpts, mqueue or ramfs",
                wanted->flag, wanted->type);
    if (wanted->subpath && !str_equal(wanted->type, "volume"))
        return wrong(wanted, err, "a subpath is a volume's");
    if (wanted->subpath && str_empty(wanted->source))
        return wrong(wanted, err, "a new volume has no subpath: name one with source=NAME");
    if (str_equal(wanted->type, "bind")) {
        if (str_empty(wanted->source))
            return wrong(wanted, err, "a bind mount needs a source: add source=PATH");
        return absolute_source(build, wanted, err);
    }
    if (str_equal(wanted->type, "volume")) {
        if (wanted->source && !is_volume_name(wanted->source))
            return wrong(
                    wanted, err, "the source is not a volume's name: add type=bind for a path");
        return 0;
    }
    if (!str_empty(wanted->source) && !str_equal(wanted->source, wanted->type))
        return error_set(err, EINVAL, "%s: a %s has no source", wanted->flag, wanted->type);
    if (wanted->access)
        wanted->access = str_equal(wanted->access, "rro") ? "ro" : wanted->access;
    return 0;
}

static int read_mount(
        struct run_build *build, const char *text, struct wanted_list *list, struct error *err)
{
    struct wanted wanted = {
            .flag = arena_printf(build->arena, "--mount %.512s", text), .type = "volume"};
    struct strv fields = {0};

    if (split_fields(build->arena, text, &fields) < 0)
        return wrong(&wanted, err, "a quote is not closed");
    for (size_t i = 0; i < fields.count; i++) {
        const char *key = fields.words[i];
        const char *value = NULL;
        (void)run_split(build->arena, fields.words[i], '=', &key, &value);
        const struct mount_key *known = find_key(key);
        if (!known)
            return unknown_key(&wanted, key, err);
        if (set_key(build, &wanted, known, value, err) < 0)
            return -EINVAL;
    }
    if (check_type(build, &wanted, err) < 0)
        return -EINVAL;
    return add_wanted(build, list, wanted, err);
}

/* DIR[:OPTIONS]; without a word against it nothing can be run from there, as Docker has it. */
static int read_tmpfs(
        struct run_build *build, const char *text, struct wanted_list *list, struct error *err)
{
    static const char *const safe[][2] = {{"nosuid", "suid"}, {"nodev", "dev"}, {"noexec", "exec"}};
    struct wanted wanted = {
            .flag = arena_printf(build->arena, "--tmpfs %.512s", text), .type = "tmpfs"};
    struct strv given = {0};
    size_t length = strcspn(text, ":");

    wanted.destination = arena_strndup(build->arena, text, length);
    if (text[length])
        strv_split(build->arena, &given, text + length + 1, ',');
    for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
        if (!strv_contains(&given, safe[i][0]) && !strv_contains(&given, safe[i][1]))
            strv_add(build->arena, &wanted.options, safe[i][0]);
    for (size_t i = 0; i < given.count; i++)
        strv_add(build->arena, &wanted.options, given.words[i]);
    return add_wanted(build, list, wanted, err);
}

static bool is_access(const char *text)
{
    return *text && strlen(text) <= 3 && !text[strspn(text, "rwm")];
}

/* PATH[:INSIDE][:rwm] */
static int add_device(struct run_build *build, const char *text, struct error *err)
{
    struct strv parts = {0};

    strv_split(build->arena, &parts, text, ':');
    const char *host = parts.count ? parts.words[0] : "";
    struct run_device device = {host, host, "rwm"};
    if (parts.count == 2 && is_access(parts.words[1]))
        device.access = parts.words[1];
    else if (parts.count >= 2)
        device.inside = parts.words[1];
    if (parts.count == 3)
        device.access = parts.words[2];
    bool good = parts.count <= 3 && device.host[0] == '/' && device.inside[0] == '/' &&
                is_access(device.access);
    if (!good)
        return error_set(err, EINVAL,
                "--device %s: write a path on the host, and if needed one inside and an access of "
                "r, w and m, as in /dev/sda:/dev/xvda:r",
                text);
    device.inside = path_clean(build->arena, device.inside);
    struct run_device *slot = RECORD_APPEND(build->arena, &build->choices->devices);
    *slot = device;
    return 0;
}

static struct spec_mount *find_mount(struct spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (str_equal(spec->mounts.items[i].destination, destination))
            return &spec->mounts.items[i];
    return NULL;
}

/* The host's own /dev/shm and queues go with the host's IPC namespace. */
static int apply_ipc(struct run_build *build, struct error *err)
{
    enum run_place_kind kind = build->choices->ipc.kind;
    const struct opt_u64 *size = &build->flags->shm_size;
    struct spec *spec = build->spec;

    if (size->set && (kind == RUN_HOST || kind == RUN_NONE || kind == RUN_CONTAINER))
        return error_set(
                err, EINVAL, "--shm-size: --ipc %s has no /dev/shm of its own", build->flags->ipc);
    struct spec_mount *shm = find_mount(spec, "/dev/shm");
    if (size->set && shm) {
        shm->options = (struct strv){0};
        strv_split(build->arena, &shm->options,
                arena_printf(
                        build->arena, "nosuid,noexec,nodev,mode=1777,size=%" PRIu64, size->value),
                ',');
    }
    if (kind == RUN_NONE || kind == RUN_HOST)
        displace_mount(spec, "/dev/shm");
    if (kind == RUN_HOST) {
        displace_mount(spec, "/dev/mqueue");
        spec_add_mount(build->arena, spec, "/dev/shm", "bind", "/dev/shm", "rbind,rprivate");
        spec_add_mount(build->arena, spec, "/dev/mqueue", "bind", "/dev/mqueue", "rbind,rprivate");
    }
    return 0;
}

/* A new user namespace may mount procfs and sysfs only where it owns what they show; where the
 * host's is shown, the host's mount is bound. */
static void apply_shared_views(struct run_build *build)
{
    const struct run_choices *choices = build->choices;
    enum run_place_kind user = choices->userns.kind;

    if (user == RUN_HOST || user == RUN_DEFAULT)
        return;
    if (choices->pid.kind == RUN_HOST && find_mount(build->spec, "/proc")) {
        struct spec_mount *mount = find_mount(build->spec, "/proc");
        *mount = (struct spec_mount){.destination = "/proc", .type = "bind", .source = "/proc"};
        strv_split(build->arena, &mount->options, "rbind,rprivate,nosuid,noexec,nodev", ',');
    }
    if (choices->network.kind == RUN_HOST && find_mount(build->spec, "/sys")) {
        struct spec_mount *mount = find_mount(build->spec, "/sys");
        *mount = (struct spec_mount){.destination = "/sys", .type = "bind", .source = "/sys"};
        strv_split(build->arena, &mount->options, "rbind,rprivate,nosuid,noexec,nodev,rro", ',');
    }
}

/* The host's file of the zone, over the root's. */
static int read_zone(struct run_build *build, struct wanted_list *list, struct error *err)
{
    const char *zone = build->flags->tz;
    const char *text = "/etc/localtime:/etc/localtime:ro";
    struct strv parts = {0};

    if (!zone)
        return 0;
    strv_split(build->arena, &parts, zone, '/');
    if (zone[strspn(zone, ZONE_LETTERS)] || strv_contains(&parts, "..") ||
            strv_contains(&parts, "."))
        return error_set(
                err, EINVAL, "--tz %.100s: write local, or a zone as in Europe/Berlin", zone);
    if (!str_equal(zone, "local"))
        text = arena_printf(build->arena, "/usr/share/zoneinfo/%.100s:/etc/localtime:ro", zone);
    return read_volume(build, text, list, err);
}

static bool is_taken(const struct wanted_list *list, const char *destination)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_equal(list->items[i].destination, destination))
            return true;
    return false;
}

/* What many programs must write to, where the user has put nothing else there. */
static int add_writable_places(struct run_build *build, struct wanted_list *list, struct error *err)
{
    static const char *const places[] = {"/run", "/tmp", "/var/tmp"};
    const struct run_flags *flags = build->flags;

    if (!flags->read_only_tmpfs.set || !flags->read_only_tmpfs.value)
        return 0;
    if (!flags->read_only)
        return error_set(
                err, EINVAL, "--read-only-tmpfs: without --read-only the root is writable");
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (!is_taken(list, places[i]) && read_tmpfs(build, places[i], list, err) < 0)
            return -EINVAL;
    return 0;
}

static int read_lists(struct run_build *build, struct wanted_list *list, struct error *err)
{
    const struct {
        const struct strv *texts;
        int (*read)(struct run_build *build, const char *text, struct wanted_list *list,
                struct error *err);
    } lists[] = {
            {&build->flags->volume, read_volume},
            {&build->flags->mount, read_mount},
            {&build->flags->tmpfs, read_tmpfs},
    };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t j = 0; j < lists[i].texts->count; j++)
            if (lists[i].read(build, lists[i].texts->words[j], list, err) < 0)
                return -EINVAL;
    int r = read_zone(build, list, err);
    return r < 0 ? r : add_writable_places(build, list, err);
}

/* The image's volumes, where the user has not mounted something else. */
static void add_image_volumes(struct run_build *build, const struct wanted_list *list)
{
    const struct run_image *image = build->input->image;

    for (size_t i = 0; image && i < image->volumes.count; i++) {
        struct wanted wanted = {
                .type = "volume", .destination = path_clean(build->arena, image->volumes.words[i])};
        if (wanted.destination[0] == '/' && !is_taken(list, wanted.destination))
            add_volume(build, &wanted);
    }
}

int run_mounts_apply(struct run_build *build, struct error *err)
{
    struct wanted_list list = {0};

    if (apply_ipc(build, err) < 0 || read_lists(build, &list, err) < 0)
        return -EINVAL;
    apply_shared_views(build);
    for (size_t i = 0; i < list.count; i++) {
        displace_mount(build->spec, list.items[i].destination);
        if (str_equal(list.items[i].type, "volume"))
            add_volume(build, &list.items[i]);
        else
            add_mount(build, &list.items[i]);
    }
    add_image_volumes(build, &list);
    build->choices->volumes_from = build->flags->volumes_from;
    for (size_t i = 0; i < build->flags->device.count; i++)
        if (add_device(build, build->flags->device.words[i], err) < 0)
            return -EINVAL;
    if (build->flags->read_only)
        build->spec->root->readonly = true;
    return 0;
}
