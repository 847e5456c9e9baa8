#include "cgroup/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"

#define HIERARCHIES_MAX 64
#define UNIFIED_ALWAYS ((1U << CGROUP_FREEZER) | (1U << CGROUP_DEVICES))

static const struct {
    const char *v1;
    const char *v2; /* NULL: the same */
    const char *purpose;
} names[CGROUP_CONTROLLERS] = {
        [CGROUP_CPU] = {"cpu", NULL, "its share of CPU time"},
        [CGROUP_CPUACCT] = {"cpuacct", NULL, "a count of the CPU time it has used"},
        [CGROUP_CPUSET] = {"cpuset", NULL, "the CPUs and memory nodes it runs on"},
        [CGROUP_MEMORY] = {"memory", NULL, "how much memory it may take"},
        [CGROUP_DEVICES] = {"devices", NULL, "the devices it may open"},
        [CGROUP_FREEZER] = {"freezer", NULL, "a way to halt it as a whole"},
        [CGROUP_BLKIO] = {"blkio", "io", "how fast it may read and write disks"},
        [CGROUP_PIDS] = {"pids", NULL, "how many processes it may have"},
        [CGROUP_HUGETLB] = {"hugetlb", NULL, "how much memory of huge pages it may take"},
        [CGROUP_NET_CLS] = {"net_cls", NULL, "a class for its packets"},
        [CGROUP_NET_PRIO] = {"net_prio", NULL, "the priority of its packets"},
        [CGROUP_PERF_EVENT] = {"perf_event", NULL, "a way to profile it as a whole"},
        [CGROUP_RDMA] = {"rdma", NULL, "how much of RDMA devices it may take"},
        [CGROUP_MISC] = {"misc", NULL, "how much of scarce things of the hardware it may take"},
};

const char *cgroup_controller_name(enum cgroup_controller controller)
{
    return names[controller].v1;
}

const char *cgroup_controller_unified_name(enum cgroup_controller controller)
{
    return names[controller].v2 ? names[controller].v2 : names[controller].v1;
}

const char *cgroup_controller_purpose(enum cgroup_controller controller)
{
    return names[controller].purpose;
}

static uint32_t controller_bit(const char *word, size_t length)
{
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++) {
        const char *both[] = {names[i].v1, names[i].v2};
        for (size_t j = 0; j < 2; j++)
            if (both[j] && strlen(both[j]) == length && memcmp(both[j], word, length) == 0)
                return 1U << i;
    }
    return 0;
}

uint32_t cgroup_controllers_parse(const char *list, char separator)
{
    uint32_t set = 0;

    while (*list) {
        size_t length = (size_t)(strchrnul(list, separator) - list);
        set |= controller_bit(list, length);
        list += length + (list[length] != '\0');
    }
    return set;
}

const struct cgroup_hierarchy *cgroup_layout_find(
        const struct cgroup_layout *layout, enum cgroup_controller controller)
{
    const struct cgroup_hierarchy *found = NULL;

    for (size_t i = 0; i < layout->count; i++) {
        const struct cgroup_hierarchy *item = &layout->items[i];
        if ((item->controllers & (1U << controller)) && (!found || found->unified))
            found = item;
    }
    return found;
}

const struct cgroup_hierarchy *cgroup_layout_unified(const struct cgroup_layout *layout)
{
    for (size_t i = 0; i < layout->count; i++)
        if (layout->items[i].unified)
            return &layout->items[i];
    return NULL;
}

const char *cgroup_layout_kind(const struct cgroup_layout *layout)
{
    bool v1 = false;

    for (size_t i = 0; i < layout->count; i++)
        v1 |= !layout->items[i].unified && layout->items[i].controllers;
    if (cgroup_layout_unified(layout))
        return v1 ? "hybrid" : "v2";
    return v1 ? "v1" : "none";
}

/* The octal escapes of mountinfo (\040 for a blank …), in place. */
static char *unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        unsigned value;
        if (from[0] == '\\' && sscanf(from + 1, "%3o", &value) == 1 && strlen(from) >= 4) {
            *to = (char)value;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
    return text;
}

/* One line of mountinfo (proc_pid_mountinfo(5)), cut into its fields. */
struct mount_line {
    unsigned major, minor;
    char *root, *mount, *type, *super;
};

static bool cut_line(char *line, struct mount_line *ret)
{
    char *fields[6];
    char *rest = strstr(line, " - ");

    if (!rest)
        return false;
    *rest = '\0';
    rest += 3;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!(fields[i] = strsep(&line, " ")))
            return false;
    if (sscanf(fields[2], "%u:%u", &ret->major, &ret->minor) != 2)
        return false;
    ret->root = unescape(fields[3]);
    ret->mount = unescape(fields[4]);
    ret->type = strsep(&rest, " ");
    strsep(&rest, " "); /* the source says nothing */
    ret->super = rest;
    return rest && *ret->mount == '/';
}

/* "cpu,cpuacct" or "name=systemd" out of the options "rw,xattr,name=systemd". */
static const char *hierarchy_names(struct arena *arena, const char *options)
{
    struct strv words = {0}, chosen = {0};
    char *word;

    strv_split(arena, &words, options, ',');
    strv_foreach (word, &words) {
        if (controller_bit(word, strlen(word)) || str_starts(word, "name="))
            strv_add(arena, &chosen, word);
    }
    return chosen.count ? strv_join(arena, &chosen, ",") : "";
}

static bool same_names(const char *a, const char *b)
{
    const char *name_a = strstr(a, "name=");
    const char *name_b = strstr(b, "name=");

    if (!name_a != !name_b)
        return false;
    if (name_a)
        return str_equal(name_a, name_b);
    return cgroup_controllers_parse(a, ',') == cgroup_controllers_parse(b, ',');
}

/* Our path in the hierarchy, out of /proc/self/cgroup ("4:memory:/a/b" lines); NULL: none. */
static const char *own_path(
        struct arena *arena, const char *self, const struct cgroup_hierarchy *hierarchy)
{
    while (*self) {
        size_t length = (size_t)(strchrnul(self, '\n') - self);
        char *line = arena_strndup(arena, self, length);
        self += length + (self[length] != '\0');
        char *number = strsep(&line, ":");
        char *words = strsep(&line, ":");
        if (!line || *line != '/')
            continue;
        bool unified = str_equal(number, "0") && str_empty(words);
        if (hierarchy->unified ? unified : !unified && same_names(words, hierarchy->names))
            return line;
    }
    return NULL;
}

/* `path` as seen from a mount of `root`; NULL when it is not below. */
static const char *below_mount(struct arena *arena, const char *path, const char *root)
{
    if (!path || path_has_dotdot(path))
        return NULL;
    path = path_clean(arena, path);
    if (str_equal(root, "/"))
        return path;
    if (!path_is_below(path, root))
        return NULL;
    return path[strlen(root)] ? path + strlen(root) : "/";
}

/* The same hierarchy mounted once more: the mount that shows our own cgroup is the better one. */
static bool add_again(struct cgroup_layout *layout, const struct cgroup_hierarchy *item)
{
    for (size_t i = 0; i < layout->count; i++) {
        struct cgroup_hierarchy *known = &layout->items[i];
        if (known->unified != item->unified ||
                (!item->unified && !same_names(known->names, item->names)))
            continue;
        if (!known->self && item->self)
            *known = *item;
        return true;
    }
    return false;
}

static void add_line(struct arena *arena, const struct cgroup_layout_source *source, char *text,
        struct cgroup_layout *layout)
{
    struct mount_line line;

    if (layout->count >= HIERARCHIES_MAX || !cut_line(text, &line))
        return;
    struct cgroup_hierarchy item = {.unified = str_equal(line.type, "cgroup2")};
    if (!item.unified && !str_equal(line.type, "cgroup"))
        return;
    if (source->check && !source->check(line.mount, item.unified, makedev(line.major, line.minor)))
        return;
    item.mount = line.mount;
    item.root = line.root;
    item.names = item.unified ? "" : hierarchy_names(arena, line.super);
    item.controllers = cgroup_controllers_parse(item.names, ',');
    if (item.unified && source->controllers) {
        const char *list = source->controllers(arena, item.mount);
        item.controllers = UNIFIED_ALWAYS | cgroup_controllers_parse(list ? list : "", ' ');
    }
    if (!item.unified && !*item.names)
        return;
    item.self = below_mount(arena, own_path(arena, source->self, &item), item.root);
    if (!add_again(layout, &item))
        layout->items[layout->count++] = item;
}

void cgroup_layout_parse(
        struct arena *arena, const struct cgroup_layout_source *source, struct cgroup_layout *ret)
{
    const char *at = source->mountinfo;

    *ret = (struct cgroup_layout){0};
    ret->items = arena_new_array(arena, struct cgroup_hierarchy, HIERARCHIES_MAX);
    while (*at) {
        size_t length = (size_t)(strchrnul(at, '\n') - at);
        if (memmem(at, length, " - cgroup", 9))
            add_line(arena, source, arena_strndup(arena, at, length), ret);
        at += length + (at[length] != '\0');
    }
}

/* A mount that another one covers, or a plain folder, fails this. */
static bool is_mount(const char *path, bool unified, dev_t device)
{
    struct statfs fs;
    struct stat st;

    if (statfs(path, &fs) < 0 || stat(path, &st) < 0)
        return false;
    return fs.f_type == (unified ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC) && st.st_dev == device;
}

static const char *read_controllers(struct arena *arena, const char *mount)
{
    char text[1024];

    if (io_read_small_at(
                AT_FDCWD, path_join(arena, mount, "cgroup.controllers"), text, sizeof(text)) < 0)
        return NULL;
    return arena_strdup(arena, text);
}

int cgroup_layout_detect(struct arena *arena, struct cgroup_layout *ret, struct error *err)
{
    _cleanup_buf_ struct buf mountinfo = {0};
    _cleanup_buf_ struct buf self = {.max = 1 << 20};

    int r = io_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &mountinfo);
    if (r < 0)
        return error_sys(err, -r, "read /proc/self/mountinfo");
    r = io_read_file_at(AT_FDCWD, "/proc/self/cgroup", &self);
    if (r < 0 && r != -ENOENT) /* a kernel without control groups has no such file */
        return error_sys(err, -r, "read /proc/self/cgroup");
    struct cgroup_layout_source source = {
            buf_text(&mountinfo), buf_text(&self), is_mount, read_controllers};
    cgroup_layout_parse(arena, &source, ret);
    return 0;
}

bool cgroup_host_has_bfq(void)
{
    _cleanup_closedir_ DIR *disks = opendir("/sys/block");
    struct dirent *disk;

    while (disks && (disk = readdir(disks))) {
        char path[sizeof(disk->d_name) + sizeof("/queue/scheduler")];
        char text[256];
        snprintf(path, sizeof(path), "%s/queue/scheduler", disk->d_name);
        if (io_read_small_at(dirfd(disks), path, text, sizeof(text)) > 0 && strstr(text, "bfq"))
            return true;
    }
    return false;
}

void cgroup_layout_guest(struct arena *arena, struct cgroup_layout *ret)
{
    *ret = (struct cgroup_layout){.count = 1, .foreign = true};
    ret->items = arena_new(arena, struct cgroup_hierarchy);
    ret->items[0] = (struct cgroup_hierarchy){.unified = true,
            .controllers =
                    UNIFIED_ALWAYS |
                    cgroup_controllers_parse("cpu cpuset memory io pids hugetlb rdma misc", ' '),
            .names = "",
            .mount = "/sys/fs/cgroup",
            .root = "/",
            .self = "/"};
}
