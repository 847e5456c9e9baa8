#include "observe/hostcheck.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/json.h"
#include "engine/machine.h"
#include "engine/network.h"
#include "engine/rootless.h"
#include "net/firewall.h"
#include "ns/idmap.h"
#include "ns/namespaces.h"
#include "observe/style.h"
#include "security/seccomp.h"
#include "security/selinux.h"

enum state { STATE_OK, STATE_LIMITED, STATE_MISSING };

struct finding {
    const char *what;
    enum state state;
    const char *found;
    const char *remedy; /* NULL: nothing to do */
};

struct report {
    struct arena *arena;
    const struct container_host *host;
    struct finding *items;
    size_t count, capacity;
};

static void add(struct report *report, const char *what, enum state state, const char *found,
        const char *remedy)
{
    report->items = arena_grow(
            report->arena, report->items, report->count, &report->capacity, sizeof(*report->items));
    report->items[report->count++] =
            (struct finding){what, state, found, state == STATE_OK ? NULL : remedy};
}

static bool file_has(const char *path, const char *word)
{
    struct buf text = {.max = 1 << 20};
    bool found = io_read_file_at(AT_FDCWD, path, &text) == 0 && strstr(buf_text(&text), word);

    buf_free(&text);
    return found;
}

static void check_namespaces(struct report *report)
{
    for (size_t i = 0; i < NS_KINDS; i++) {
        const char *path = arena_printf(report->arena, "/proc/self/ns/%s", ns_kinds[i].file);
        bool there = access(path, F_OK) == 0;
        add(report, arena_printf(report->arena, "%s namespaces", ns_kinds[i].name),
                there ? STATE_OK : STATE_MISSING, there ? "yes" : "not in this kernel",
                "a kernel with this kind of namespace (CONFIG_NAMESPACES and below)");
    }
    char text[32] = "";
    io_read_small_at(AT_FDCWD, "/proc/sys/user/max_user_namespaces", text, sizeof(text));
    bool allowed = !str_equal(text, "0");
    add(report, "user namespaces allowed", allowed ? STATE_OK : STATE_MISSING,
            allowed ? arena_strdup(report->arena, text) : "0",
            "sysctl user.max_user_namespaces=15000, or run with --userns host");
}

static void check_cgroups(struct report *report)
{
    static const enum cgroup_controller wanted[] = {CGROUP_CPU, CGROUP_CPUSET, CGROUP_MEMORY,
            CGROUP_PIDS, CGROUP_BLKIO, CGROUP_HUGETLB, CGROUP_RDMA, CGROUP_MISC, CGROUP_NET_CLS,
            CGROUP_NET_PRIO};
    const struct cgroup_layout *layout = report->host->cgroups;
    bool v2_alone = str_equal(cgroup_layout_kind(layout), "v2");

    add(report, "control groups", layout->count ? STATE_OK : STATE_MISSING,
            cgroup_layout_kind(layout), "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        bool v1_only = wanted[i] == CGROUP_NET_CLS || wanted[i] == CGROUP_NET_PRIO;
        const struct cgroup_hierarchy *found = cgroup_layout_find(layout, wanted[i]);
        if (v2_alone && v1_only)
            continue;
        add(report, arena_printf(report->arena, "  %s", cgroup_controller_name(wanted[i])),
                found ? STATE_OK : STATE_LIMITED,
                found ? (found->unified ? "v2" : "v1") : "no hierarchy has it",
                report->host->rootless
                        ? "delegate it: systemctl edit user@.service, [Service] Delegate=yes"
                        : "the kernel lacks it, or it is not enabled in cgroup.subtree_control");
    }
}

static void check_security(struct report *report)
{
    long landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U);
    bool notify = seccomp_flag_supported("SECCOMP_FILTER_FLAG_LOG");
    bool apparmor = access("/sys/kernel/security/apparmor", F_OK) == 0;
    bool selinux = selinux_enabled();

    add(report, "seccomp filters", notify ? STATE_OK : STATE_MISSING, notify ? "yes" : "no",
            "a kernel with CONFIG_SECCOMP_FILTER");
    add(report, "Landlock", landlock > 0 ? STATE_OK : STATE_LIMITED,
            landlock > 0 ? arena_printf(report->arena, "ABI %ld", landlock) : "no",
            "boot with lsm=landlock,…; nothing asks for it unless you do");
    add(report, "AppArmor", apparmor ? STATE_OK : STATE_LIMITED, apparmor ? "yes" : "no",
            "profiles can not be used; the rest is not affected");
    add(report, "SELinux", selinux ? STATE_OK : STATE_LIMITED, selinux ? "yes" : "no",
            "labels can not be used; the rest is not affected");
}

static void check_rights(struct report *report)
{
    const struct container_host *host = report->host;
    bool resource = host->capabilities & CAPS_BIT((unsigned)caps_number("CAP_SYS_RESOURCE"));
    struct id_ranges ranges = {0};

    add(report, "run as", STATE_OK, host->rootless ? "an ordinary user (rootless)" : "root", NULL);
    add(report, "raising limits (ulimit)", resource ? STATE_OK : STATE_LIMITED,
            resource ? "yes" : "CAP_SYS_RESOURCE is missing",
            "limits can be lowered but not raised; ask for values at or below the present ones");
    if (!host->rootless || host->uid == 0)
        return;
    idmap_load_subids(report->arena, "/etc/subuid", rootless_name(report->arena, host->uid),
            host->uid, &ranges, NULL);
    add(report, "newuidmap, newgidmap", host->id_helpers ? STATE_OK : STATE_LIMITED,
            host->id_helpers ? "yes" : "not installed",
            "install the package uidmap; until then a sandbox has your own id alone");
    add(report, "ranges in /etc/subuid", ranges.count ? STATE_OK : STATE_LIMITED,
            ranges.count ? "yes" : "none for this user",
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER");
}

/* An ordinary user's networks are pasta's. */
static void check_pasta(struct report *report)
{
    bool there = sandbox_network_pasta(report->arena);
    bool tun = access("/dev/net/tun", R_OK | W_OK) == 0;

    add(report, "networks, by pasta", there && tun ? STATE_OK : STATE_LIMITED,
            !there ? "not installed"
            : tun  ? "yes"
                   : "/dev/net/tun is not open to you",
            there ? "chmod 666 /dev/net/tun, as root; until then --network none"
                  : "install the package passt; until then --network none");
}

/* Root's are bridges with rules. */
static void check_bridges(struct report *report)
{
    const char *helper;
    struct error err = ERROR_NONE;
    bool installed = install_find_program(report->arena, "viv-nft", &helper, &err) == 0;
    bool good = installed && firewall_is_loaded(&err) >= 0;

    add(report, "networks, by bridges", good ? STATE_OK : STATE_LIMITED,
            good        ? "yes"
            : installed ? "no packet filter"
                        : "viv-nft is not installed",
            arena_printf(report->arena, "%s; until then --network none or host", err.text));
}

static void check_machines(struct report *report)
{
    const char *kernel, *chosen = NULL;
    struct error err = ERROR_NONE;
    bool guest = install_find_data(report->arena, "guest", &kernel, &err) == 0;
    bool erofs = install_find_in_path(report->arena, "mkfs.erofs");

    add(report, "a kernel for machines", guest ? STATE_OK : STATE_LIMITED, guest ? "yes" : "no",
            "`make` unpacks one; until then name one with --kernel DIR");
    add(report, "disks of images", erofs ? STATE_OK : STATE_LIMITED,
            erofs ? "yes" : "mkfs.erofs is not installed",
            "install the package erofs-utils; until then machines run the built-in image alone");
    if (engine_machine_accelerator(report->arena, &chosen, &err) < 0) {
        add(report, "machines", STATE_LIMITED, "viv-vmm does not run",
                arena_strdup(report->arena, err.text));
        return;
    }
    const char *slow = str_after(chosen, "emu: ");
    add(report, "machines run on", slow ? STATE_LIMITED : STATE_OK, slow ? "viv's own CPU" : "KVM",
            slow);
}

static void check_rest(struct report *report)
{
    bool overlay = file_has("/proc/filesystems", "\toverlay");
    bool pidfd = syscall(SYS_pidfd_open, getpid(), 0) >= 0;
    bool setattr = syscall(SYS_mount_setattr, -1, "", 0, NULL, 0) < 0 && errno != ENOSYS;

    add(report, "process descriptors", pidfd ? STATE_OK : STATE_MISSING, pidfd ? "yes" : "no",
            "Linux 5.3 or later");
    add(report, "idmapped mounts", setattr ? STATE_OK : STATE_MISSING, setattr ? "yes" : "no",
            "Linux 5.12 or later; until then --userns host");
    add(report, "overlayfs", overlay ? STATE_OK : STATE_LIMITED, overlay ? "yes" : "not loaded",
            "modprobe overlay");
}

static void print_text(const struct report *report, FILE *out)
{
    static const char *const words[] = {"ok", "limited", "missing"};
    const struct style *style = style_for(out);

    for (size_t i = 0; i < report->count; i++) {
        const struct finding *item = &report->items[i];
        const char *colour = item->state == STATE_OK        ? style->green
                             : item->state == STATE_LIMITED ? style->yellow
                                                            : style->red;
        fprintf(out, "%s%-8s%s %-26s %s\n", colour, words[item->state], style->reset, item->what,
                item->found);
        if (item->remedy)
            fprintf(out, "%36s%s%s%s\n", "", style->dim, item->remedy, style->reset);
    }
}

static void print_json(const struct report *report, FILE *out)
{
    static const char *const words[] = {"ok", "limited", "missing"};
    _cleanup_json_ struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < report->count; i++) {
        const struct finding *item = &report->items[i];
        struct json_object *row = json_object_new_object();
        json_add_str(row, "what", item->what + strspn(item->what, " "));
        json_add_str(row, "state", words[item->state]);
        json_add_str(row, "found", item->found);
        json_add_str(row, "remedy", item->remedy);
        json_object_array_add(array, row);
    }
    fprintf(out, "%s\n", json_text_pretty(array));
}

int hostcheck_print(const struct container_host *host, struct arena *arena, bool json, FILE *out)
{
    struct report report = {.arena = arena, .host = host};
    int missing = 0;

    check_rights(&report);
    check_namespaces(&report);
    check_cgroups(&report);
    check_security(&report);
    if (host->rootless && host->uid != 0)
        check_pasta(&report);
    else
        check_bridges(&report);
    check_rest(&report);
    check_machines(&report);
    if (json)
        print_json(&report, out);
    else
        print_text(&report, out);
    for (size_t i = 0; i < report.count; i++)
        missing += report.items[i].state == STATE_MISSING;
    return missing;
}
