/* Every kind of namespace, new, the host's and joined, seen from inside and from outside. */
#include "ns/steps.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "sandbox.h"
#include "sys/mount.h"
#include "sys/netlink.h"
#include "sys/proc.h"
#include "sys/process.h"
#include "test.h"

/* The procfs handle that rootfs gives a sandbox; here by a step of our own. */
struct proc_args {
    int slot;
};
static int proc_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct proc_args *args = step->args;
    int fd = sys_proc_open(err);

    run->fds[args->slot] = fd;
    return fd < 0 ? fd : 0;
}
static const struct step_ops proc_ops = {"proc", "proc(5)", proc_apply, NULL, NULL, NULL};

static int add_proc(struct sandbox *sandbox)
{
    struct proc_args *args = arena_new(&sandbox->arena, struct proc_args);

    args->slot = plan_new_slot(&sandbox->plan);
    plan_add(&sandbox->plan, STEP_CHILD, &proc_ops, "", args);
    return args->slot;
}

static ino_t ns_of(const char *pid, const char *file)
{
    char path[64];
    struct stat st = {0};

    snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, file);
    stat(path, &st);
    return st.st_ino;
}

static void print_ns(void *data)
{
    (void)data;
    for (int kind = 0; kind < NS_KINDS; kind++)
        printf("%lu\n", (unsigned long)ns_of("self", ns_kinds[kind].file));
}

/* What the child saw of each kind. */
static void read_ns(const struct sandbox *sandbox, unsigned long inodes[NS_KINDS])
{
    const char *at = sandbox->output;

    for (int kind = 0; kind < NS_KINDS; kind++)
        inodes[kind] = strtoul(at, (char **)&at, 10);
}

static const struct ns_id_maps one_range = {
        .uids = {(struct id_map[]){{0, 200000, 65536}}, 1},
        .gids = {(struct id_map[]){{0, 300000, 65536}}, 1},
};

/* The steps of a whole sandbox with this set. */
static int make_all(struct sandbox *sandbox)
{
    struct plan *plan = &sandbox->plan;
    uint64_t flags, late;

    ns_add_open_joins(plan, &sandbox->set);
    sandbox_add_clone(sandbox);
    if (sandbox->set.of[NS_USER].mode == NS_NEW)
        ns_add_id_maps(plan, &one_range, "/linux/uidMappings");
    ns_add_joins(plan, &sandbox->set);
    ns_set_split(&sandbox->set, &flags, &late);
    ns_add_unshare(plan, late, "");
    if (sandbox->set.of[NS_USER].mode != NS_HOST)
        ns_add_become_root(plan, false, "");
    if (sandbox->set.of[NS_CGROUP].mode == NS_NEW)
        ns_add_unshare_cgroup(plan, "");
    int proc = add_proc(sandbox);
    if (sandbox->set.of[NS_TIME].mode == NS_NEW)
        ns_add_time(plan, NULL, 0, proc, "");
    return proc;
}

TEST(steps_each_kind_is_new_alone)
{
    for (int kind = 0; kind < NS_KINDS; kind++) {
        struct sandbox sandbox;
        unsigned long inside[NS_KINDS];

        sandbox_begin(&sandbox);
        sandbox.set.of[kind].mode = NS_NEW;
        make_all(&sandbox);
        sandbox_add_run(&sandbox, print_ns, NULL);
        CHECK_STR(sandbox_apply(&sandbox) < 0 ? sandbox.err.text : "", "");
        read_ns(&sandbox, inside);
        for (int other = 0; other < NS_KINDS; other++) {
            bool same = inside[other] == ns_of("self", ns_kinds[other].file);
            /* /proc is the outer one, in which a new pid namespace's processes have no "self" */
            if (kind == NS_PID)
                continue;
            CHECK(inside[other] != 0);
            CHECK_INT(same, other != kind);
        }
        sandbox_end(&sandbox);
    }
}

TEST(steps_each_kind_can_be_joined)
{
    for (int kind = 0; kind < NS_KINDS; kind++) {
        struct sandbox holder, sandbox;
        unsigned long inside[NS_KINDS];
        char path[64], pid[16];

        sandbox_begin(&holder);
        holder.set.of[kind].mode = NS_NEW;
        make_all(&holder);
        CHECK_STR(sandbox_hold(&holder) < 0 ? holder.err.text : "", "");
        snprintf(pid, sizeof(pid), "%d", holder.run.child);
        snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, ns_kinds[kind].file);
        sandbox_begin(&sandbox);
        sandbox.set.of[kind] = (struct ns_choice){.mode = NS_JOIN, .path = path};
        make_all(&sandbox);
        sandbox_add_run(&sandbox, print_ns, NULL);
        CHECK_STR(sandbox_apply(&sandbox) < 0 ? sandbox.err.text : "", "");
        read_ns(&sandbox, inside);
        CHECK(ns_of(pid, ns_kinds[kind].file) != ns_of("self", ns_kinds[kind].file));
        if (kind != NS_PID)
            CHECK_INT(inside[kind], ns_of(pid, ns_kinds[kind].file));
        sandbox_end(&sandbox);
        sandbox_end(&holder);
    }
}

TEST(steps_refuse_a_path_of_the_wrong_kind)
{
    static const struct {
        const char *path, *error;
    } cases[] = {
            {"/proc/self/ns/uts", "join the network namespace at /proc/self/ns/uts: that is a UTS "
                                  "namespace, not a network namespace"},
            {"/etc/passwd", "join the network namespace at /etc/passwd: that is no namespace; give "
                            "a file like /proc/PID/ns/net or a bind mount of one"},
            {"/proc/1/ns/nothing",
                    "ENOENT: No such file or directory; has the process that held it "
                    "ended?"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sandbox sandbox;
        sandbox_begin(&sandbox);
        sandbox.set.of[NS_NET] = (struct ns_choice){
                .mode = NS_JOIN, .path = cases[i].path, .because = "/linux/namespaces/0/path"};
        make_all(&sandbox);
        CHECK(sandbox_apply(&sandbox) < 0);
        CHECK_STR(strstr(sandbox.err.text, cases[i].error) ? cases[i].error : sandbox.err.text,
                cases[i].error);
        CHECK(strstr(sandbox.err.text, "/linux/namespaces/0/path"));
        sandbox_end(&sandbox);
    }
}

static void print_pid(void *data)
{
    (void)data;
    printf("%d %d\n", getpid(), getppid());
}

TEST(steps_pid_is_one_inside_and_another_outside)
{
    struct sandbox sandbox;

    sandbox_begin(&sandbox);
    sandbox.set.of[NS_PID].mode = NS_NEW;
    make_all(&sandbox);
    sandbox_add_run(&sandbox, print_pid, NULL);
    CHECK_INT(sandbox_apply(&sandbox), 0);
    CHECK_STR(sandbox.output, "1 0");
    sandbox_end(&sandbox);
}

TEST(steps_pid_joined_has_the_holder_as_pid_1)
{
    struct sandbox holder, sandbox;
    char path[64];

    sandbox_begin(&holder);
    holder.set.of[NS_PID].mode = NS_NEW;
    make_all(&holder);
    CHECK_INT(sandbox_hold(&holder), 0);
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", holder.run.child);
    sandbox_begin(&sandbox);
    sandbox.set.of[NS_PID] = (struct ns_choice){.mode = NS_JOIN, .path = path};
    make_all(&sandbox);
    sandbox_add_run(&sandbox, print_pid, NULL);
    CHECK_INT(sandbox_apply(&sandbox), 0);
    CHECK_STR(sandbox.output, "2 0");
    /* and this process is back: its next child is an ordinary one */
    pid_t child = fork();
    if (child == 0)
        _exit(getppid() == 0);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    sandbox_end(&sandbox);
    sandbox_end(&holder);
}

/* A dying process 1 takes all its processes along. */
static void leave_orphans(void *data)
{
    const char *marker = data;

    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            int fd = open(marker, O_RDONLY); /* held while it lives */
            if (fd >= 0)
                flock(fd, LOCK_SH);
            pause();
        }
    usleep(50000);
}

TEST(steps_pid_1_takes_all_along)
{
    struct sandbox sandbox;
    char marker[128];

    sandbox_begin(&sandbox);
    snprintf(marker, sizeof(marker), "%s/marker", sandbox.dir);
    sandbox_file(&sandbox, "marker", "");
    sandbox.set.of[NS_PID].mode = NS_NEW;
    make_all(&sandbox);
    sandbox_add_run(&sandbox, leave_orphans, marker);
    CHECK_INT(sandbox_apply(&sandbox), 0);
    _cleanup_close_ int fd = open(marker, O_RDWR | O_CLOEXEC);
    CHECK_INT(flock(fd, LOCK_EX | LOCK_NB), 0); /* nobody holds it any more */
    sandbox_end(&sandbox);
}

static void print_ids(void *data)
{
    char path[128];

    printf("%d %d %d %d\n", getuid(), getgid(), geteuid(), getgroups(0, NULL));
    snprintf(path, sizeof(path), "%s/made", (const char *)data);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    printf("%s\n", inside_read("/proc/self/setgroups"));
}

TEST(steps_user_is_root_inside_and_nobody_outside)
{
    struct sandbox sandbox;
    char path[256];
    struct stat st;

    sandbox_begin(&sandbox);
    sandbox.set.of[NS_USER].mode = NS_NEW;
    sandbox.set.of[NS_MNT].mode = NS_NEW;
    chmod(sandbox.root, 0777);
    make_all(&sandbox);
    sandbox_add_run(&sandbox, print_ids, sandbox.root);
    CHECK_STR(sandbox_apply(&sandbox) < 0 ? sandbox.err.text : "", "");
    CHECK_STR(sandbox.output, "0 0 0 0\nallow");
    snprintf(path, sizeof(path), "%s/made", sandbox.root);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_uid, 200000);
    CHECK_INT(st.st_gid, 300000);
    sandbox_end(&sandbox);
}

TEST(steps_user_takes_arbitrary_maps)
{
    const struct ns_id_maps maps = {
            .uids = {(struct id_map[]){{0, 5000, 1}, {1000, 77, 2}, {70000, 9000, 100}}, 3},
            .gids = {(struct id_map[]){{0, 6000, 1}}, 1},
            .deny_setgroups = true,
    };
    struct sandbox sandbox;

    sandbox_begin(&sandbox);
    sandbox.set.of[NS_USER].mode = NS_NEW;
    sandbox_add_clone(&sandbox);
    ns_add_id_maps(&sandbox.plan, &maps, "");
    ns_add_become_root(&sandbox.plan, true, "");
    CHECK_STR(sandbox_hold(&sandbox) < 0 ? sandbox.err.text : "", "");
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/uid_map", sandbox.run.child);
    CHECK(io_read_small_at(AT_FDCWD, path, text, sizeof(text)) > 0);
    unsigned v[9];
    CHECK_INT(sscanf(text, "%u %u %u %u %u %u %u %u %u", v, v + 1, v + 2, v + 3, v + 4, v + 5,
                      v + 6, v + 7, v + 8),
            9);
    CHECK_INT(v[4], 77);
    CHECK_INT(v[8], 100);
    snprintf(path, sizeof(path), "/proc/%d/setgroups", sandbox.run.child);
    io_read_small_at(AT_FDCWD, path, text, sizeof(text));
    CHECK_STR(text, "deny");
    sandbox_end(&sandbox);
}

#define ORDINARY 65534 /* nobody */

/* As an ordinary user: the number of lines of the child's map, negative on failure. */
static int map_lines(enum ns_map_writer writer, const char *subids)
{
    struct sandbox sandbox;
    struct id_ranges ranges = {0};
    struct ns_id_maps maps = {.writer = writer, .deny_setgroups = writer == NS_MAP_DIRECT};
    char path[64], text[256];
    int lines = 1;

    sandbox_begin(&sandbox);
    idmap_read_subids(&sandbox.arena, subids, "nobody", ORDINARY, &ranges);
    if (sys_setresgid(ORDINARY, ORDINARY, ORDINARY) < 0 ||
            sys_setresuid(ORDINARY, ORDINARY, ORDINARY) < 0)
        return -1;
    prctl(PR_SET_DUMPABLE, 1); /* it went with the change of the user id */
    idmap_rootless(&sandbox.arena, ORDINARY, &ranges, &maps.uids);
    idmap_rootless(&sandbox.arena, ORDINARY, &ranges, &maps.gids);
    sandbox.set.of[NS_USER].mode = NS_NEW;
    sandbox_add_clone(&sandbox);
    ns_add_id_maps(&sandbox.plan, &maps, "");
    ns_add_become_root(&sandbox.plan, true, "");
    int r = sandbox_hold(&sandbox);
    if (r < 0)
        printf("  %s\n", sandbox.err.text);
    snprintf(path, sizeof(path), "/proc/%d/uid_map", sandbox.run.child);
    if (r < 0 || io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        lines = -1;
    for (const char *at = text; lines > 0 && *at; at++)
        lines += *at == '\n';
    sandbox_end(&sandbox);
    return lines;
}

static int in_child(enum ns_map_writer writer, const char *subids)
{
    int status = -1;

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int lines = map_lines(writer, subids);
        fflush(stdout);
        _exit(lines < 0 ? 99 : lines);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(steps_user_without_privilege_maps_one_id)
{
    CHECK_INT(in_child(NS_MAP_DIRECT, ""), 1);
}

/* The files of subuid(5) as this test wants them, seen by it alone. */
static bool lay_over(struct sandbox *sandbox, const char *name, const char *content)
{
    char from[128], to[64];

    snprintf(from, sizeof(from), "%s/%s", sandbox->dir, name);
    snprintf(to, sizeof(to), "/etc/%s", name);
    sandbox_file(sandbox, name, content);
    return sys_mount(from, to, NULL, MS_BIND, NULL) == 0;
}

TEST(steps_user_maps_ranges_through_the_helpers)
{
    struct sandbox sandbox;

    sandbox_begin(&sandbox);
    CHECK(lay_over(&sandbox, "subuid", "nobody:400000:1000\n"));
    CHECK(lay_over(&sandbox, "subgid", "nobody:400000:1000\n"));
    CHECK_INT(in_child(NS_MAP_HELPERS, "nobody:400000:1000\n"), 2);
    CHECK_INT(in_child(NS_MAP_HELPERS, "nobody:500000:1000\n"), 99); /* not in the files */
    sys_umount2("/etc/subuid", MNT_DETACH);
    sys_umount2("/etc/subgid", MNT_DETACH);
    sandbox_end(&sandbox);
}

static void print_names(void *data)
{
    char host[128], domain[128];

    (void)data;
    gethostname(host, sizeof(host));
    getdomainname(domain, sizeof(domain));
    printf("%s %s\n", host, domain);
}

TEST(steps_uts_has_names_of_its_own)
{
    struct sandbox sandbox;
    char before[128], after[128];

    gethostname(before, sizeof(before));
    sandbox_begin(&sandbox);
    sandbox.set.of[NS_UTS].mode = NS_NEW;
    make_all(&sandbox);
    ns_add_hostname(&sandbox.plan, "glass", "/hostname");
    ns_add_domainname(&sandbox.plan, "example.org", "/domainname");
    sandbox_add_run(&sandbox, print_names, NULL);
    CHECK_INT(sandbox_apply(&sandbox), 0);
    CHECK_STR(sandbox.output, "glass example.org");
    gethostname(after, sizeof(after));
    CHECK_STR(after, before);
    sandbox_end(&sandbox);
}

static void look_for_queues(void *data)
{
    int key = *(const int *)data;

    printf("%d ", msgget(key, 0) >= 0);
    printf("%d\n", msgget(key, IPC_CREAT | 0600) >= 0);
}

TEST(steps_ipc_queues_are_not_shared)
{
    struct sandbox sandbox;
    int key = 0x76000000 + getpid();
    int queue = msgget(key, IPC_CREAT | IPC_EXCL | 0600);

    CHECK(queue >= 0);
    sandbox_begin(&sandbox);
    sandbox.set.of[NS_IPC].mode = NS_NEW;
    make_all(&sandbox);
    sandbox_add_run(&sandbox, look_for_queues, &key);
    int r = sandbox_apply(&sandbox);
    msgctl(queue, IPC_RMID, NULL);
    CHECK_INT(r, 0);
    CHECK_STR(sandbox.output, "0 1");
    sandbox_end(&sandbox);
}

static void print_clocks(void *data)
{
    struct timespec monotonic, boot;

    (void)data;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    printf("%ld %ld\n", (long)monotonic.tv_sec, (long)boot.tv_sec);
}

TEST(steps_time_is_offset_at_once)
{
    static const struct ns_clock_offset offsets[] = {
            {"monotonic", 500000, 0}, {"boottime", 900000, 500000000}};
    struct sandbox sandbox;
    struct timespec now;
    long monotonic = 0, boot = 0;

    sandbox_begin(&sandbox);
    sandbox_add_clone(&sandbox);
    ns_add_time(&sandbox.plan, offsets, 2, add_proc(&sandbox), "/linux/timeOffsets");
    sandbox_add_run(&sandbox, print_clocks, NULL);
    CHECK_STR(sandbox_apply(&sandbox) < 0 ? sandbox.err.text : "", "");
    clock_gettime(CLOCK_MONOTONIC, &now);
    CHECK_INT(sscanf(sandbox.output, "%ld %ld", &monotonic, &boot), 2);
    CHECK(monotonic >= 500000 && monotonic <= 500000 + now.tv_sec);
    CHECK(boot >= 900000);
    sandbox_end(&sandbox);
}

static void print_net(void *data)
{
    char name[IF_NAMESIZE];

    (void)data;
    for (unsigned i = 1; i < 64; i++)
        if (if_indextoname(i, name))
            printf("%s ", name);
    struct ifreq request = {.ifr_name = "lo"};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ioctl(sock, SIOCGIFFLAGS, &request);
    printf("%s\n", request.ifr_flags & IFF_UP ? "up" : "down");
}

TEST(steps_net_has_loopback_alone)
{
    struct sandbox sandbox;

    sandbox_begin(&sandbox);
    sandbox.set.of[NS_NET].mode = NS_NEW;
    make_all(&sandbox);
    ns_add_loopback(&sandbox.plan, "");
    sandbox_add_run(&sandbox, print_net, NULL);
    CHECK_INT(sandbox_apply(&sandbox), 0);
    CHECK(str_starts(sandbox.output, "lo "));
    CHECK(strstr(sandbox.output, "up"));
    sandbox_end(&sandbox);
}

/* A pair of interfaces in this process's network namespace, which is a private one. */
static int make_veth(const char *name, const char *peer)
{
    const struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;
    _cleanup_close_ int sock = netlink_open();

    netlink_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
    netlink_add_str(&request, IFLA_IFNAME, name);
    struct nlattr *info = netlink_nest(&request, IFLA_LINKINFO);
    netlink_add(&request, IFLA_INFO_KIND, "veth", 4);
    struct nlattr *data = netlink_nest(&request, IFLA_INFO_DATA);
    struct nlattr *other = netlink_nest(&request, 1 /* VETH_INFO_PEER */);
    netlink_add_raw(&request, &link, sizeof(link));
    netlink_add_str(&request, IFLA_IFNAME, peer);
    netlink_nest_end(&request, other);
    netlink_nest_end(&request, data);
    netlink_nest_end(&request, info);
    return netlink_send(sock, &request);
}

static int add_address(const char *name, const unsigned char address[4])
{
    struct ifaddrmsg header = {
            .ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = if_nametoindex(name)};
    struct netlink_request request;
    _cleanup_close_ int sock = netlink_open();

    netlink_begin(&request, RTM_NEWADDR, NLM_F_CREATE, &header, sizeof(header));
    netlink_add(&request, IFA_LOCAL, address, 4);
    netlink_add(&request, IFA_ADDRESS, address, 4);
    return netlink_send(sock, &request);
}

static void print_routes(void *data)
{
    print_net(data);
    printf("%s\n", inside_read("/proc/self/net/fib_trie"));
}

static int run_device(struct sandbox *sandbox, const char *new_name, bool failing)
{
    static const unsigned char address[4] = {10, 77, 0, 5};
    struct ns_net_device device = {.name = "viv-a", .new_name = new_name};

    sandbox_begin(sandbox);
    if (make_veth("viv-a", "viv-b") < 0 || add_address("viv-a", address) < 0)
        return -EIO;
    sandbox->set.of[NS_NET].mode = NS_NEW;
    sandbox_add_clone(sandbox);
    ns_add_net_device(&sandbox->plan, &device, "/linux/netDevices/viv-a");
    if (failing)
        ns_add_sysctl(&sandbox->plan, "net/no/such", "1", add_proc(sandbox), "/linux/sysctl");
    sandbox_add_run(sandbox, print_routes, NULL);
    return sandbox_apply(sandbox);
}

/* In a child with a network namespace of its own, so that the machine's is not touched. */
static int in_private_net(int (*fn)(void))
{
    pid_t child = fork();
    int status = -1;

    if (child == 0)
        _exit(sys_unshare(CLONE_NEWNET) < 0 ? 100 : fn());
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int move_and_look(void)
{
    struct sandbox sandbox;

    if (run_device(&sandbox, "eth0", false) < 0)
        return printf("  %s\n", sandbox.err.text) ? 1 : 1;
    if (!strstr(sandbox.output, "eth0") || !strstr(sandbox.output, "10.77.0.5"))
        return printf("  %s\n", sandbox.output) ? 2 : 2;
    sandbox_end(&sandbox);
    return 0;
}

static int fail_and_look(void)
{
    struct sandbox sandbox;

    if (run_device(&sandbox, "eth0", true) >= 0)
        return 1;
    if (!strstr(sandbox.err.text, "set sysctl net/no/such"))
        return printf("  %s\n", sandbox.err.text) ? 2 : 2;
    if (if_nametoindex("viv-a") == 0 || if_nametoindex("eth0") != 0)
        return 3;
    return strstr(inside_read("/proc/self/net/fib_trie"), "10.77.0.5") ? 0 : 4;
}

TEST(steps_net_device_moves_with_its_address)
{
    CHECK_INT(in_private_net(move_and_look), 0);
}

TEST(steps_net_device_comes_back_on_failure)
{
    CHECK_INT(in_private_net(fail_and_look), 0);
}

static void print_sysctls(void *data)
{
    (void)data;
    printf("%s ", inside_read("/proc/sys/kernel/msgmax"));
    printf("%s\n", inside_read("/proc/sys/net/ipv4/ip_forward"));
}

TEST(steps_sysctls_reach_the_own_namespaces_only)
{
    struct sandbox sandbox;
    char before[64];

    snprintf(before, sizeof(before), "%s", inside_read("/proc/sys/kernel/msgmax"));
    sandbox_begin(&sandbox);
    sandbox.set.of[NS_IPC].mode = NS_NEW;
    sandbox.set.of[NS_NET].mode = NS_NEW;
    int proc = make_all(&sandbox);
    ns_add_sysctl(&sandbox.plan, "kernel.msgmax", "12345", proc, "/linux/sysctl/kernel.msgmax");
    ns_add_sysctl(&sandbox.plan, "net/ipv4/ip_forward", "1", proc, "");
    sandbox_add_run(&sandbox, print_sysctls, NULL);
    CHECK_STR(sandbox_apply(&sandbox) < 0 ? sandbox.err.text : "", "");
    CHECK_STR(sandbox.output, "12345 1");
    CHECK_STR(inside_read("/proc/sys/kernel/msgmax"), before);
    sandbox_end(&sandbox);
}

TEST(steps_sysctls_of_the_host_are_refused)
{
    struct ns_set set = {0};
    struct error err = ERROR_NONE;

    CHECK_INT(ns_sysctl_check(&set, "kernel.msgmax", &err), -EINVAL);
    CHECK(strstr(err.text, "belongs to the IPC namespace, and the sandbox shares the host's"));
    CHECK_INT(ns_sysctl_check(&set, "vm.swappiness", &err), -EINVAL);
    CHECK(strstr(err.text, "belongs to no namespace"));
    CHECK_INT(ns_sysctl_check(&set, "net/../vm/swappiness", &err), -EINVAL);
    set.of[NS_NET].mode = NS_NEW;
    CHECK_INT(ns_sysctl_check(&set, "net.ipv4.conf.eth0/1.forwarding", &err), 0);
    CHECK_INT(ns_sysctl_check(&set, "net/ipv4/ip_forward", &err), 0);
}

static void print_cgroup(void *data)
{
    (void)data;
    printf("%s\n", inside_read("/proc/self/cgroup"));
}

TEST(steps_cgroup_root_is_the_own_group)
{
    struct sandbox sandbox;
    const char *at;

    sandbox_begin(&sandbox);
    sandbox.set.of[NS_CGROUP].mode = NS_NEW;
    make_all(&sandbox);
    sandbox_add_run(&sandbox, print_cgroup, NULL);
    CHECK_INT(sandbox_apply(&sandbox), 0);
    for (at = sandbox.output; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        const char *end = at + strcspn(at, "\n");
        CHECK(end[-1] == '/' && end[-2] == ':');
    }
    sandbox_end(&sandbox);
}

TEST(steps_describe_without_touching)
{
    struct sandbox sandbox;
    struct step_text text;
    static const struct ns_clock_offset offset = {"monotonic", 60, 0};

    sandbox_begin(&sandbox);
    text.arena = &sandbox.arena;
    sandbox.set.of[NS_NET] = (struct ns_choice){.mode = NS_JOIN, .path = "/run/netns/x"};
    ns_add_open_joins(&sandbox.plan, &sandbox.set);
    ns_add_id_maps(&sandbox.plan, &one_range, "");
    ns_add_joins(&sandbox.plan, &sandbox.set);
    ns_add_time(&sandbox.plan, &offset, 1, 0, "");
    ns_add_hostname(&sandbox.plan, "a\"b", "");
    plan_describe(&sandbox.plan, 0, &text);
    CHECK_STR(text.calls.words[0], "openat(AT_FDCWD, \"/run/netns/x\", O_RDONLY|O_CLOEXEC)");
    plan_describe(&sandbox.plan, 1, &text);
    CHECK_STR(text.calls.words[4], "write(<fd>, \"0 200000 65536\\n\", 15)");
    plan_describe(&sandbox.plan, 2, &text);
    CHECK_STR(text.calls.words[0], "setns(<ns-net>, CLONE_NEWNET)");
    plan_describe(&sandbox.plan, 3, &text);
    CHECK_STR(text.calls.words[0], "unshare(CLONE_NEWTIME)");
    CHECK_STR(text.calls.words[2], "write(<fd>, \"monotonic 60 0\\n\", 15)");
    plan_describe(&sandbox.plan, 4, &text);
    CHECK_STR(text.calls.words[0], "sethostname(\"a\\\"b\", 3)");
    sandbox_end(&sandbox);
}

TEST_MAIN()
