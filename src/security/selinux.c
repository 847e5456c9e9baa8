#include "security/selinux.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define TEXT_MAX 4096
#define CATEGORIES 1024

enum part { USER, ROLE, TYPE, LEVEL, PARTS };

/* A context in its parts; an empty level where the policy has none. */
struct context {
    const char *parts[PARTS];
};

bool selinux_enabled(void)
{
    return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

/* A level may have colons of its own. */
static bool split(struct arena *arena, const char *text, struct context *ret)
{
    for (int part = USER; part < LEVEL; part++) {
        size_t length = strcspn(text, ":");
        if (length == 0 || (text[length] == '\0' && part < TYPE))
            return false;
        ret->parts[part] = arena_strndup(arena, text, length);
        text += length + (text[length] == ':');
    }
    ret->parts[LEVEL] = arena_strdup(arena, text);
    return true;
}

static const char *joined(struct arena *arena, const struct context *context)
{
    const char *const *parts = context->parts;

    return arena_printf(arena, "%s:%s:%s%s%s", parts[USER], parts[ROLE], parts[TYPE],
            *parts[LEVEL] ? ":" : "", parts[LEVEL]);
}

/* The value of "NAME = "VALUE"" on a line of its own; NULL. */
static const char *value_of(struct arena *arena, const char *text, const char *name)
{
    struct strv lines = {0};
    const char *line;

    strv_split(arena, &lines, text, '\n');
    strv_foreach (line, &lines) {
        const char *rest = str_after(line + strspn(line, " \t"), name);
        if (!rest || !strchr(" \t=", *rest))
            continue;
        rest += strspn(rest, " \t=\"");
        return arena_strndup(arena, rest, strcspn(rest, " \t\""));
    }
    return NULL;
}

/* Reads the policy's contexts for containers; false where it has none. */
static bool read_policy(struct arena *arena, struct context *process, struct context *file)
{
    char text[TEXT_MAX];

    if (io_read_small_at(AT_FDCWD, "/etc/selinux/config", text, sizeof(text)) < 0)
        return false;
    const char *policy = value_of(arena, text, "SELINUXTYPE");
    if (str_empty(policy) || strchr(policy, '/'))
        return false;
    const char *path = arena_printf(arena, "/etc/selinux/%s/contexts/lxc_contexts", policy);
    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return false;
    const char *of_process = value_of(arena, text, "process");
    const char *of_file = value_of(arena, text, "file");
    return of_process && of_file && split(arena, of_process, process) &&
           split(arena, of_file, file);
}

static int read_own(struct arena *arena, struct context *ret, struct error *err)
{
    char text[TEXT_MAX];
    ssize_t length = io_read_small_at(AT_FDCWD, "/proc/self/attr/current", text, sizeof(text));

    if (length < 0)
        return error_sys(err, (int)-length, "read /proc/self/attr/current");
    text[strcspn(text, "\n")] = '\0';
    return split(arena, text, ret)
                   ? 0
                   : error_set(err, EINVAL,
                             "\"%s\" in /proc/self/attr/current is no context of SELinux: load a "
                             "policy first",
                             text);
}

/* What the policy says, or this process's own; then with no type for files. */
static int start_with(
        struct arena *arena, struct context *process, struct context *file, struct error *err)
{
    if (read_policy(arena, process, file))
        return 0;
    int r = read_own(arena, process, err);
    if (r == 0)
        *file = (struct context){{process->parts[USER], "object_r", NULL, ""}};
    return r;
}

static int take_word(
        const char *word, struct context *process, struct context *file, struct error *err)
{
    static const char *const names[PARTS] = {"user:", "role:", "type:", "level:"};

    if (str_starts(word, "filetype:")) {
        file->parts[TYPE] = str_after(word, "filetype:");
        return 0;
    }
    for (int part = USER; part < PARTS; part++) {
        if (!str_starts(word, names[part]))
            continue;
        process->parts[part] = str_after(word, names[part]);
        if (part == USER || part == LEVEL)
            file->parts[part] = process->parts[part];
        return 0;
    }
    return error_set(err, EINVAL, "label=%s is no part of a context", word);
}

/* The lower end of a range, without categories. */
static const char *sensitivity(struct arena *arena, const char *level)
{
    return arena_strndup(arena, level, strcspn(level, ":-"));
}

/* Two of the policy's categories, the lower one first. */
static int own_level(struct arena *arena, const char *level, const char **ret, struct error *err)
{
    uint16_t random[2];

    do {
        if (getrandom(random, sizeof(random), 0) != sizeof(random))
            return error_sys(err, errno, "choose categories of SELinux");
        random[0] %= CATEGORIES;
        random[1] %= CATEGORIES;
    } while (random[0] == random[1]);
    unsigned first = random[0] < random[1] ? random[0] : random[1];
    unsigned second = random[0] < random[1] ? random[1] : random[0];
    *ret = arena_printf(arena, "%s:c%u,c%u", sensitivity(arena, level), first, second);
    return 0;
}

int selinux_labels_make(struct arena *arena, const struct strv *words, bool relabels,
        struct selinux_labels *ret, struct error *err)
{
    struct context process = {0}, file = {0};
    const char *word;
    int r = start_with(arena, &process, &file, err);
    const char *level = process.parts[LEVEL];

    strv_foreach (word, words) {
        if (r == 0)
            r = take_word(word, &process, &file, err);
    }
    if (r == 0 && process.parts[LEVEL] == level && !str_empty(level)) {
        r = own_level(arena, level, &process.parts[LEVEL], err);
        file.parts[LEVEL] = process.parts[LEVEL];
    }
    if (r < 0)
        return r;
    if (relabels && !file.parts[TYPE])
        return error_set(err, ENOENT,
                "the policy names no type for files of containers (/etc/selinux/.../lxc_contexts "
                "is "
                "missing): add --security-opt label=filetype:TYPE");
    *ret = (struct selinux_labels){.process = words->count ? joined(arena, &process) : NULL,
            .file = file.parts[TYPE] ? joined(arena, &file) : NULL};
    return 0;
}

const char *selinux_label_shared(struct arena *arena, const char *label)
{
    struct context context = {0};

    if (!split(arena, label, &context) || str_empty(context.parts[LEVEL]))
        return label;
    context.parts[LEVEL] = sensitivity(arena, context.parts[LEVEL]);
    return joined(arena, &context);
}
