#include "cli/runnamespaces.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "spec/defaults.h"

#define NANOSECONDS 1000000000

static const struct option_row rows[] = {
        RUN_ROW(0, "pid", OPTION_TEXT, pid, "MODE", "private, host, ns:PATH or container:NAME"),
        RUN_ROW(0, "ipc", OPTION_TEXT, ipc, "MODE",
                "private, shareable, none, host, ns:PATH or container:NAME"),
        RUN_ROW(0, "uts", OPTION_TEXT, uts, "MODE", "private, host, ns:PATH or container:NAME"),
        RUN_ROW(0, "cgroupns", OPTION_TEXT, cgroupns, "MODE",
                "private, host, ns:PATH or container:NAME"),
        RUN_ROW(0, "userns", OPTION_TEXT, userns, "MODE",
                "auto[:size=N] (a range of ids of its own), host, ns:PATH or "
                "container:NAME"),
        RUN_ROW(0, "uidmap", OPTION_LIST, uidmap, "INSIDE:HOST:SIZE",
                "User ids that are mapped, in place of --userns"),
        RUN_ROW(0, "gidmap", OPTION_LIST, gidmap, "INSIDE:HOST:SIZE",
                "Group ids that are mapped; as --uidmap when not given"),
        RUN_ROW('h', "hostname", OPTION_TEXT, hostname, "NAME", "Host name inside"),
        RUN_ROW(0, "domainname", OPTION_TEXT, domainname, "NAME", "NIS domain name inside"),
        RUN_ROW(0, "time-offset", OPTION_LIST, time_offset, "CLOCK=TIME,…",
                "Offset monotonic and boottime, as in boottime=2h"),
        RUN_ROW(0, "sysctl", OPTION_LIST, sysctl, "KEY=VALUE", "Set a kernel parameter inside"),
};
const struct option_table run_namespaces_table = OPTION_TABLE("Namespaces", rows);

/* Words of their own that a mode knows beside ns: and container:. */
struct mode_word {
    const char *word;
    enum run_place_kind kind;
};

struct mode {
    const char *flag;
    const char *type; /* the namespace */
    const char *usage;
    struct mode_word words[6];
};

static const struct mode pid_mode = {"pid", "pid", "private, host, ns:PATH or container:NAME",
        {{"private", RUN_PRIVATE}, {"host", RUN_HOST}}};
static const struct mode ipc_mode = {"ipc", "ipc",
        "private, shareable, none, host, ns:PATH or container:NAME",
        {{"private", RUN_PRIVATE}, {"shareable", RUN_PRIVATE}, {"none", RUN_NONE},
                {"host", RUN_HOST}}};
static const struct mode uts_mode = {"uts", "uts", "private, host, ns:PATH or container:NAME",
        {{"private", RUN_PRIVATE}, {"host", RUN_HOST}}};
static const struct mode cgroup_mode = {"cgroupns", "cgroup",
        "private, host, ns:PATH or container:NAME", {{"private", RUN_PRIVATE}, {"host", RUN_HOST}}};
static const struct mode user_mode = {"userns", "user",
        "auto, auto:size=N, host, ns:PATH or container:NAME",
        {{"auto", RUN_AUTO}, {"private", RUN_AUTO}, {"keep-id", RUN_KEEP_ID}, {"host", RUN_HOST}}};

static void remove_namespace(struct spec *spec, const char *type)
{
    size_t kept = 0;

    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (!str_equal(spec->linux.namespaces.items[i].type, type))
            spec->linux.namespaces.items[kept++] = spec->linux.namespaces.items[i];
    spec->linux.namespaces.count = kept;
}

/* A new namespace, or one that is joined by path. */
static void place_namespace(struct run_build *build, const char *type, const char *path)
{
    remove_namespace(build->spec, type);
    spec_add_namespace(build->arena, build->spec, type, path);
}

static int bad_mode(const struct mode *mode, const char *text, struct error *err)
{
    return error_set(err, EINVAL, "--%s \"%.128s\": write %s", mode->flag, text, mode->usage);
}

/* ns:PATH and container:NAME */
static int read_joined(
        const struct mode *mode, const char *text, struct run_place *ret, struct error *err)
{
    const char *path = str_after(text, "ns:");
    const char *name = str_after(text, "container:");

    if (path && path[0] != '/')
        return error_set(err, EINVAL, "--%s %.128s: write an absolute path, as in ns:/run/netns/a",
                mode->flag, text);
    if ((!path && !name) || (name && !*name))
        return bad_mode(mode, text, err);
    *ret = (struct run_place){path ? RUN_PATH : RUN_CONTAINER, path ? path : name};
    return 0;
}

static int read_mode(
        const struct mode *mode, const char *text, struct run_place *ret, struct error *err)
{
    if (!text)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(mode->words) && mode->words[i].word; i++)
        if (str_equal(mode->words[i].word, text)) {
            ret->kind = mode->words[i].kind;
            return 0;
        }
    return read_joined(mode, text, ret, err);
}

/* Puts what the mode says into the configuration. Another sandbox's namespace is found later; a new
 * one holds its place until then. */
static void place_mode(
        struct run_build *build, const struct mode *mode, const struct run_place *place)
{
    if (place->kind == RUN_DEFAULT)
        return;
    if (place->kind == RUN_HOST)
        remove_namespace(build->spec, mode->type);
    else
        place_namespace(build, mode->type, place->kind == RUN_PATH ? place->text : NULL);
}

static int apply_simple_modes(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct {
        const struct mode *mode;
        const char *text;
        struct run_place *place;
    } modes[] = {
            {&pid_mode, flags->pid, &build->choices->pid},
            {&ipc_mode, flags->ipc, &build->choices->ipc},
            {&uts_mode, flags->uts, &build->choices->uts},
            {&cgroup_mode, flags->cgroupns, &build->choices->cgroupns},
    };

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        int r = read_mode(modes[i].mode, modes[i].text, modes[i].place, err);
        if (r < 0)
            return r;
        place_mode(build, modes[i].mode, modes[i].place);
    }
    return 0;
}

/* "0:100000:65536"; without a size it is one id */
static int add_mapping(struct run_build *build, const char *flag, const char *text,
        struct spec_id_mappings *list, struct error *err)
{
    struct strv words = {0};
    struct spec_id_mapping mapping = {.size = 1};

    strv_split(build->arena, &words, text, ':');
    bool good = words.count >= 2 && words.count <= 3 &&
                str_to_u32(words.words[0], &mapping.containerID) == 0 &&
                str_to_u32(words.words[1], &mapping.hostID) == 0 &&
                (words.count == 2 || str_to_u32(words.words[2], &mapping.size) == 0);
    if (!good)
        return error_set(err, EINVAL,
                "--%s %s: write the first id inside, the first on the host, and how many, as in "
                "0:100000:65536",
                flag, text);
    struct spec_id_mapping *slot = RECORD_APPEND(build->arena, list);
    *slot = mapping;
    return 0;
}

static int apply_mappings(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct spec_linux *linux = &build->spec->linux;

    if (flags->uidmap.count == 0 && flags->gidmap.count == 0)
        return 0;
    if (flags->userns)
        return error_set(err, EINVAL,
                "--uidmap and --gidmap say what --userns %s would: give one or the other",
                flags->userns);
    linux->uidMappings = (struct spec_id_mappings){0};
    linux->gidMappings = (struct spec_id_mappings){0};
    for (size_t i = 0; i < flags->uidmap.count; i++)
        if (add_mapping(build, "uidmap", flags->uidmap.words[i], &linux->uidMappings, err) < 0)
            return -EINVAL;
    for (size_t i = 0; i < flags->gidmap.count; i++)
        if (add_mapping(build, "gidmap", flags->gidmap.words[i], &linux->gidMappings, err) < 0)
            return -EINVAL;
    if (flags->uidmap.count == 0)
        linux->uidMappings = linux->gidMappings;
    if (flags->gidmap.count == 0)
        linux->gidMappings = linux->uidMappings;
    build->choices->userns.kind = RUN_MAPPED;
    return 0;
}

/* A namespace of its own unless something else is said; --privileged means the host's. */
static int apply_user_namespace(struct run_build *build, struct error *err)
{
    struct run_choices *choices = build->choices;
    const char *size = str_after(build->flags->userns, "auto:size=");

    if (apply_mappings(build, err) < 0)
        return -EINVAL;
    if (size) {
        if (str_to_u32(size, &choices->userns_size) < 0 || choices->userns_size == 0)
            return error_set(err, EINVAL, "--userns %s: write how many ids, as in auto:size=65536",
                    build->flags->userns);
        choices->userns.kind = RUN_AUTO;
    } else if (read_mode(&user_mode, build->flags->userns, &choices->userns, err) < 0) {
        return -EINVAL;
    }
    if (choices->userns.kind == RUN_DEFAULT && !build->input->bundle)
        choices->userns.kind = build->flags->privileged ? RUN_HOST : RUN_AUTO;
    place_mode(build, &user_mode, &choices->userns);
    return 0;
}

static int apply_names(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    bool host = build->choices->uts.kind == RUN_HOST;

    if (host && (flags->hostname || flags->domainname))
        return error_set(err, EINVAL,
                "--%s would change the host's name: leave it out, or --uts host",
                flags->hostname ? "hostname" : "domainname");
    if (flags->hostname)
        build->spec->hostname = flags->hostname;
    if (flags->domainname)
        build->spec->domainname = flags->domainname;
    return 0;
}

static int add_offset(struct run_build *build, const char *text, struct error *err)
{
    struct spec_time_offsets *offsets = &build->spec->linux.timeOffsets;
    const char *clock;
    const char *value;
    int64_t time;

    bool pair = run_split(build->arena, text, '=', &clock, &value) == 0;
    bool monotonic = pair && str_equal(clock, "monotonic");
    if (!monotonic && !(pair && str_equal(clock, "boottime")))
        return error_set(err, EINVAL,
                "--time-offset %s: write monotonic=TIME or boottime=TIME, as in boottime=2h", text);
    if (str_to_nanoseconds(value, &time, err) < 0)
        return error_prefix(err, "--time-offset %s", text);
    struct spec_time_offset *offset = arena_new(build->arena, struct spec_time_offset);
    int64_t rest = time % NANOSECONDS;
    offset->secs = time / NANOSECONDS - (rest < 0);
    offset->nanosecs = (uint32_t)(rest < 0 ? rest + NANOSECONDS : rest);
    *(monotonic ? &offsets->monotonic : &offsets->boottime) = offset;
    return 0;
}

static int apply_time(struct run_build *build, struct error *err)
{
    const struct strv *list = &build->flags->time_offset;

    for (size_t i = 0; i < list->count; i++) {
        struct strv words = {0};
        strv_split(build->arena, &words, list->words[i], ',');
        if (words.count == 0)
            return add_offset(build, list->words[i], err);
        for (size_t j = 0; j < words.count; j++)
            if (add_offset(build, words.words[j], err) < 0)
                return -EINVAL;
    }
    if (list->count)
        place_namespace(build, "time", NULL);
    return 0;
}

int run_namespaces_apply(struct run_build *build, struct error *err)
{
    const struct strv *sysctl = &build->flags->sysctl;

    if (apply_simple_modes(build, err) < 0 || apply_user_namespace(build, err) < 0 ||
            apply_names(build, err) < 0 || apply_time(build, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < sysctl->count; i++) {
        const char *key;
        const char *value;
        if (run_split(build->arena, sysctl->words[i], '=', &key, &value) < 0)
            return error_set(err, EINVAL,
                    "--sysctl %s: write KEY=VALUE, as in net.ipv4.ip_forward=1", sysctl->words[i]);
        spec_map_set(build->arena, &build->spec->linux.sysctl, key, value);
    }
    return 0;
}
