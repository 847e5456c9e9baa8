#include "engine/vm_joined.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/vm_netns.h"
#include "engine/vm_network.h"
#include "net/resolvconf.h"
#include "net/splice.h"
#include "sys/netns.h"
#include "sys/proc.h"
#include "sys/process.h"

/* Docker's. On other loopback addresses servers of the workload's own may be meant. */
#define ENGINES_SERVER "127.0.0.11"

/* ---- the configuration ----------------------------------------------------------------------- */

static bool is_of_pod(const struct spec *spec, const char *part)
{
    return str_equal(spec_annotation(spec, "io.kubernetes.cri.container-type"), part) ||
           str_equal(spec_annotation(spec, "io.kubernetes.cri-o.ContainerType"), part);
}

bool vm_holds_pod(const struct spec *spec)
{
    return is_of_pod(spec, "sandbox");
}

static int read_host_name(const char *path, char *name, size_t size)
{
    _cleanup_close_ int there = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);

    if (there < 0 || own < 0)
        return -errno;
    int r = sys_setns(there, CLONE_NEWUTS);
    if (r < 0)
        return r;
    r = gethostname(name, size - 1) < 0 ? -errno : 0;
    int back = sys_setns(own, CLONE_NEWUTS);
    return r < 0 ? r : back;
}

static int take_host_name(struct vm *vm, const char *path, struct error *err)
{
    char name[HOST_NAME_MAX + 2] = "";
    int r = read_host_name(path, name, sizeof(name));

    if (r < 0)
        return error_sys(err, -r, "read the host name of the pod's uts namespace %s", path);
    if (str_empty(vm->guest_spec.hostname))
        vm->guest_spec.hostname = arena_strdup(vm->arena, name);
    return 0;
}

static bool hooks_may_fill(const struct spec_hooks *hooks)
{
    return hooks->prestart.count || hooks->createRuntime.count || hooks->createContainer.count;
}

/* Ours, or that of the first process: a machine would take the host's own interfaces away. */
static bool is_the_hosts(const char *path)
{
    static const char *const hosts[] = {"/proc/self/ns/net", "/proc/1/ns/net"};
    struct stat wanted, found;

    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
        if (stat(path, &wanted) == 0 && stat(hosts[i], &found) == 0 &&
                wanted.st_dev == found.st_dev && wanted.st_ino == found.st_ino)
            return true;
    return false;
}

/* On the host's side; the guest's workload is in the guest's first. */
static int take_network(struct vm *vm, size_t index, const char *path, struct error *err)
{
    if (path && vm->config->shared_network)
        return error_set(err, EOPNOTSUPP,
                "--network container:NAME: a machine would take that sandbox's interfaces away; "
                "put both on a network by its name, where they find each other");
    if (path && is_the_hosts(path))
        return error_set(err, EOPNOTSUPP,
                "/linux/namespaces/%zu: a machine cannot join the network namespace %s: it is the "
                "host's own, whose interfaces it would take away",
                index, path);
    if (!path && (!hooks_may_fill(&vm->request->spec->hooks) || vm->config->networks))
        return 0;
    vm->outside.of[NS_NET] = (struct ns_choice){
            .mode = path ? NS_JOIN : NS_NEW,
            .path = path,
            .because = arena_printf(vm->arena, "/linux/namespaces/%zu", index),
            .slot = -1,
    };
    return 0;
}

static int refuse(size_t index, const struct spec_namespace *item, struct error *err)
{
    return error_set(err, EOPNOTSUPP,
            "/linux/namespaces/%zu: a workload in a machine is in the guest's kernel and cannot "
            "join the %s namespace %s of the host; leave it out, or use --isolation container",
            index, item->type, item->path);
}

static int take_namespace(
        struct vm *vm, size_t index, struct spec_namespace *item, struct error *err)
{
    const char *path = str_empty(item->path) ? NULL : item->path;
    bool in_pod = is_of_pod(vm->request->spec, "container");
    int r = 0;

    if (str_equal(item->type, "network"))
        return take_network(vm, index, path, err);
    if (!path)
        return 0;
    if (in_pod && str_equal(item->type, "uts"))
        r = take_host_name(vm, path, err);
    else if (!in_pod || !str_equal(item->type, "ipc"))
        r = refuse(index, item, err);
    item->path = NULL;
    return r;
}

int vm_joined_describe(struct vm *vm, struct error *err)
{
    struct spec *spec = &vm->guest_spec;
    int r = 0;

    for (size_t i = 0; r == 0 && i < spec->linux.namespaces.count; i++)
        r = take_namespace(vm, i, &spec->linux.namespaces.items[i], err);
    if (r == 0 && vm_joined_network(vm))
        vm_join_first_network(spec);
    return r;
}

bool vm_joined_network(const struct vm *vm)
{
    return vm->outside.of[NS_NET].mode != NS_HOST;
}

/* ---- the interfaces -------------------------------------------------------------------------- */

static int open_namespace(const struct vm *vm, const struct plan_run *run, struct error *err)
{
    const struct ns_choice *choice = &vm->outside.of[NS_NET];
    char number[16];
    int fd;

    if (choice->mode == NS_JOIN) {
        fd = fcntl(run->fds[choice->slot], F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? error_sys(err, errno, "keep the network namespace") : fd;
    }
    _cleanup_close_ int proc = sys_proc_open_shared(err);
    if (proc < 0)
        return proc;
    snprintf(number, sizeof(number), "%d", run->child);
    fd = sys_proc_open_ns(proc, number, "net");
    return fd < 0 ? error_sys(err, -fd, "open the network namespace of the machine's process") : fd;
}

static int open_socket(int namespace_fd, struct error *err)
{
    int sock = sys_netns_netlink(namespace_fd);

    return sock < 0 ? error_sys_hint(err, -sock,
                              sock == -EPERM ? "it takes CAP_SYS_ADMIN and CAP_NET_ADMIN" : NULL,
                              "open a netlink socket in the network namespace")
                    : sock;
}

static int splice_all(struct vm *vm, struct plan_run *run, struct error *err)
{
    _cleanup_close_ int namespace = open_namespace(vm, run, err);
    _cleanup_close_ int sock = namespace < 0 ? namespace : open_socket(namespace, err);
    int r = sock < 0 ? sock : found_read(sock, SPLICE_TAP, vm->arena, &vm->found, err);

    if (r == 0 && vm->found.more_routes)
        strv_add(vm->arena, &vm->making->built.warnings,
                arena_strdup(vm->arena,
                        "the network namespace has routes by several gateways or by objects, which "
                        "the machine does not get"));
    if (r == 0)
        r = vm_netns_note(vm->request->dir_fd, namespace, vm->outside.of[NS_NET].path, err);
    for (size_t i = 0; r == 0 && i < vm->found.interfaces.count; i++)
        r = splice_add(namespace, sock, &vm->found.interfaces.items[i], vm->request->id,
                &run->fds[vm->tap_slots[i]], err);
    if (r < 0 && sock >= 0)
        splice_remove(sock, vm->request->id);
    return r;
}

static int splice_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct vm *vm = (struct vm *)(uintptr_t)step->args;
    int r = splice_all(vm, run, err);

    if (r == 0)
        vm_joined_settle(vm, run);
    return r < 0 && vm->outside.of[NS_NET].path
                   ? error_prefix(err, "join the network namespace %s", vm->outside.of[NS_NET].path)
                   : r;
}

static int splice_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct vm *vm = step->args;
    _cleanup_close_ int namespace = open_namespace(vm, run, err);
    _cleanup_close_ int sock = namespace < 0 ? namespace : open_socket(namespace, err);

    if (sock < 0)
        return sock;
    splice_remove(sock, vm->request->id);
    return 0;
}

static void splice_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "setns(<ns-net>, CLONE_NEWNET)");
    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    step_call(text, "setns(<own-net>, CLONE_NEWNET)");
    step_call(text, "sendto(<rtnl>, RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE)");
    step_call(text, "for each interface: ioctl(<tap>, TUNSETIFF, {ifr_name=\"" SPLICE_TAP
                    "N\", IFF_TAP|IFF_NO_PI|IFF_VNET_HDR})");
    step_call(text, "for each interface: sendto(<rtnl>, RTM_NEWQDISC ingress, RTM_NEWTFILTER "
                    "mirred to the tap, and back)");
    step_why(text, "Gives the machine the interfaces of the network namespace: a tap beside each, "
                   "and what comes in by the one leaves by the other. The guest's have the same "
                   "names, addresses and routes.");
}

static const struct step_ops splice_ops = {
        .name = "splice taps",
        .manual = "tc-mirred(8)",
        .apply = splice_apply,
        .undo = splice_undo,
        .describe = splice_describe,
};

void vm_joined_steps(struct plan *plan, struct vm *vm)
{
    if (!vm_joined_network(vm))
        return;
    for (size_t i = 0; i < VM_NETWORKS_MAX; i++)
        vm->tap_slots[i] = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &splice_ops, vm->outside.of[NS_NET].because, vm);
}

void vm_joined_settle(struct vm *vm, const struct plan_run *run)
{
    struct proto_machine *machine = &vm->machine;

    if (!vm_joined_network(vm))
        return;
    machine->nets.count = 0;
    for (size_t i = 0; i < VM_NETWORKS_MAX && run->fds[vm->tap_slots[i]] >= 0; i++) {
        struct proto_net *net = RECORD_APPEND(vm->arena, &machine->nets);
        *net = (struct proto_net){.mac = vm_network_device(vm->arena, i)};
        vm->net_of[i] = (int)i;
    }
    template_init(&vm->template, vm->config->templates, vm->vmm, machine);
}

/* ---- the guest's end ------------------------------------------------------------------------- */

const char *vm_joined_resolver(const struct vm *vm, struct arena *arena)
{
    const char *path = NULL;

    if (!vm_joined_network(vm))
        return NULL;
    const struct spec *spec = vm->request->spec;
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (str_equal(spec->mounts.items[i].destination, "/etc/resolv.conf"))
            path = spec->mounts.items[i].source;
    const char *server = path ? resolvconf_loopback(path, arena) : NULL;
    return str_equal(server, ENGINES_SERVER) ? server : NULL;
}

void vm_joined_send(const struct vm *vm, struct arena *arena, struct agent_create *into)
{
    into->resolver = vm_joined_resolver(vm, arena);
    for (size_t i = 0; i < vm->found.interfaces.count; i++) {
        const struct found_interface *found = &vm->found.interfaces.items[i];
        struct agent_interface *to = vm_network_send_one(arena, &found->inside, into);
        to->mac = net_mac_text(arena, found->mac);
        to->mtu = found->mtu;
    }
}
