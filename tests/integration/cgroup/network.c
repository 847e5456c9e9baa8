/* net_cls and net_prio: a traffic filter of our own network namespace sees the class and the
 * priority. The two controllers are mounted in a mount namespace of the test's own. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup/flat.h"
#include "sandbox.h"
#include "sys/mount.h"
#include "test.h"

#define CLASS 0x00100001

/* The kernel gives up a v1 hierarchy only when it is unmounted without any group in it, and removed
 * groups linger for some milliseconds: unmounted until it is gone, so that the machine is as it
 * was. */
static bool is_gone(const char *controller)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *text = cgroup_flat_text(&arena, "/proc", "cgroups");

    return !text || strstr(text, arena_printf(&arena, "%s\t0\t", controller));
}

static void give_up(const char *controller, const char *path)
{
    for (int i = 0; i < 10; i++) {
        sys_umount2(path, 0);
        for (int wait = 0; wait < 50 && !is_gone(controller); wait++)
            usleep(10000);
        if (is_gone(controller))
            return;
        sys_mount("cgroup", path, "cgroup", 0, controller);
        usleep(100000);
    }
}

static void leave_private(void)
{
    give_up("net_cls", "/mnt/cls");
    give_up("net_prio", "/mnt/prio");
}

static bool enter_private(void)
{
    static bool done, well;

    if (done)
        return well;
    done = true;
    atexit(leave_private); /* after what the sandboxes leave is gone */
    well = unshare(CLONE_NEWNS) == 0 &&
           sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           sys_mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0 && mkdir("/mnt/cls", 0755) == 0 &&
           mkdir("/mnt/prio", 0755) == 0 &&
           sys_mount("cgroup", "/mnt/cls", "cgroup", 0, "net_cls") == 0 &&
           sys_mount("cgroup", "/mnt/prio", "cgroup", 0, "net_prio") == 0;
    return well;
}

/* Sends a datagram to ourselves: exit status 0, or 1 when a filter refused it (EPERM). */
static void send_one(void *data)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)data;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sendto(sock, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1)
        _exit(0);
    _exit(errno == EPERM ? 1 : 2);
}

static int run_sender(struct sandbox *box)
{
    if (sandbox_start(box, send_one, NULL) < 0)
        return -1;
    return WEXITSTATUS(sandbox_wait(box));
}

TEST(net_cls_class_is_seen_by_a_filter)
{
    struct sandbox marked, plain;
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (!enter_private())
        SKIP("this kernel has no net_cls or net_prio");
    CHECK(unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0);
    CHECK_INT(system("nft 'add table ip t; add chain ip t o { type filter hook output priority 0; "
                     "}; add rule ip t o meta cgroup 0x100001 drop'"),
            0);
    sandbox_init(&marked);
    marked.limits.net_class = (struct opt_u64){true, CLASS};
    sandbox_init(&plain);
    CHECK_INT(run_sender(&marked), 1);
    CHECK_STR(sandbox_read(&marked, CGROUP_NET_CLS, "net_cls.classid", NULL), "1048577");
    CHECK_INT(run_sender(&plain), 0);
    CHECK_INT(system("nft flush ruleset"), 0);
    CHECK_INT(run_sender(&plain), 0);
    CHECK_INT(setns(home, CLONE_NEWNET), 0);
    close(home);
    CHECK_INT(sandbox_end(&marked), 0);
    CHECK_INT(sandbox_end(&plain), 0);
}

/* A frame out of the interface `data`, below all filters. */
static void send_frame(void *data)
{
    char frame[64] = {0};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)};
    int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    to.sll_ifindex = (int)if_nametoindex(data);
    if (sendto(sock, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
        _exit(2);
}

/* The kernel looks for the interface in its first network namespace only, so one of the test's own
 * name is made there. HTB takes a packet's priority for the number of its class: 0x10005 is 1:5. */
TEST(net_prio_priority_is_seen_by_traffic_control)
{
    struct sandbox marked, plain;
    struct cgroup_net_priority priority = {.priority = 0x10005};
    static const char count[] = "tc -s class show dev $DEV | grep -A1 'htb 1:5 ' | "
                                "grep -q ' [1-9][0-9]* pkt'";
    char name[16];

    if (!enter_private())
        SKIP("this kernel has no net_cls or net_prio");
    snprintf(name, sizeof(name), "vt%d", getpid());
    setenv("DEV", name, 1);
    sandbox_init(&marked);
    sandbox_init(&plain);
    CHECK_INT(system("ip link add $DEV type veth peer name ${DEV}p && ip link set $DEV up && ip "
                     "link set "
                     "${DEV}p up"),
            0);
    int queue = system(
            "tc qdisc add dev $DEV root handle 1: htb default 9 && tc class add dev $DEV parent 1: "
            "classid 1:5 htb rate 100mbit && tc class add dev $DEV parent 1: classid 1:9 htb rate "
            "100mbit");
    priority.interface = name;
    marked.limits.net_priorities.items = &priority;
    marked.limits.net_priorities.count = 1;
    int first = sandbox_start(&plain, send_frame, name) < 0 ? -1 : sandbox_wait(&plain);
    bool seen_plain = system(count) == 0;
    int second = sandbox_start(&marked, send_frame, name) < 0 ? -1 : sandbox_wait(&marked);
    bool seen_marked = system(count) == 0;
    const char *map = sandbox_read(&marked, CGROUP_NET_PRIO, "net_prio.ifpriomap", NULL);
    bool kept = strstr(map, " 65541");
    int gone = system("ip link del $DEV");
    CHECK_INT(queue, 0);
    CHECK(first == 0 && second == 0);
    CHECK(kept && seen_marked && !seen_plain);
    CHECK_INT(gone, 0);
    CHECK_INT(sandbox_end(&marked), 0);
    CHECK_INT(sandbox_end(&plain), 0);
}

TEST_MAIN()
