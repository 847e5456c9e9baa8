#include "engine/vm_steps.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/machine.h"
#include "engine/vm_boot.h"
#include "engine/vm_joined.h"
#include "engine/vm_mounts.h"
#include "engine/vm_network.h"
#include "engine/vm_socket.h"
#include "engine/vm_template.h"
#include "proto/agent.h"
#include "sys/process.h"

#define SECTOR 512

/* Args of a step are constant, and what belongs to this one run stands beside them. */
static struct vm *vm_of(const struct step *step)
{
    return (struct vm *)(uintptr_t)step->args;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int listen_in(int dir_fd, const char *name, int type, int *ret, struct error *err)
{
    struct sockaddr_un address = vm_socket_address(dir_fd, name);
    _cleanup_close_ int sock = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(sock, 64) < 0)
        return error_sys(err, errno, "listen on %s", name);
    *ret = take_fd(&sock);
    return 0;
}

static int sockets_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct vm *vm = vm_of(step);
    int pair[2], log[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_sys(err, errno, "make the sockets to the machine's agent");
    run->fds[vm->host_slot] = pair[0];
    run->fds[vm->vmm_slot] = pair[1];
    if (pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_sys(err, errno, "make a pipe for what viv-vmm says");
    run->fds[vm->log_slot] = log[0];
    run->fds[vm->log_end_slot] = log[1];
    run->fds[vm->uncaged_slot] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (run->fds[vm->uncaged_slot] < 0)
        return error_sys(err, errno, "eventfd");
    int dir = vm->request->dir_fd;
    int r = listen_in(dir, VM_SOCKET, SOCK_STREAM, &run->fds[vm->listen_slot], err);
    return r < 0 ? r : listen_in(dir, VM_CONTROL, SOCK_SEQPACKET, &run->fds[vm->control_slot], err);
}

static int sockets_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run, (void)err;
    unlinkat(vm_of(step)->request->dir_fd, VM_SOCKET, 0);
    unlinkat(vm_of(step)->request->dir_fd, VM_CONTROL, 0);
    return 0;
}

static void sockets_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, [<agent>, <machine's end>])");
    step_call(text, "pipe2([<log>, <log's end>], O_NONBLOCK|O_CLOEXEC)");
    step_call(text, "eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK)");
    step_call(text, "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0)");
    step_call(text, "bind(<socket>, {sa_family=AF_UNIX, sun_path=\"<sandbox>/" VM_SOCKET "\"})");
    step_call(text, "listen(<socket>, 64)");
    step_call(text, "socket(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0)");
    step_call(text, "bind(<control>, {sa_family=AF_UNIX, sun_path=\"<sandbox>/" VM_CONTROL "\"})");
    step_call(text, "listen(<control>, 64)");
    step_why(text, "Makes the two ways to the agent in the machine: a connection for the workload, "
                   "and a socket for what comes later; and one to viv-vmm itself.");
}

static const struct step_ops sockets_ops = {
        .name = "socketpair",
        .manual = "vsock(7)",
        .apply = sockets_apply,
        .undo = sockets_undo,
        .describe = sockets_describe,
};

void vm_step_sockets(struct plan *plan, struct vm *vm)
{
    vm->host_slot = plan_new_slot(plan);
    vm->vmm_slot = plan_new_slot(plan);
    vm->listen_slot = plan_new_slot(plan);
    vm->control_slot = plan_new_slot(plan);
    vm->log_slot = plan_new_slot(plan);
    vm->log_end_slot = plan_new_slot(plan);
    vm->uncaged_slot = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &sockets_ops, "", vm);
}

/* ---- viv-vmm --------------------------------------------------------------------------------- */

/* What the kernel and its initramfs did is done. A template was verified once and for all. */
static void go_on_from(const struct vm *vm, struct proto_machine *machine, int fd)
{
    const struct vm_going_on *own = vm->config->going_on;

    machine->snapshot =
            (struct proto_file){.path = own ? own->name : vm->template.key, .fd = {true, fd}};
    machine->snapshot_verified = !own;
    machine->kernel = machine->initrd = (struct proto_file){0};
}

/* viv-vmm has no stream of the workload's: nothing to read, and what it says goes to the log. */
static int start_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct vm *vm = vm_of(step);
    vm_joined_settle(vm, run);
    struct proto_machine machine = vm->machine;
    struct proto_vsock vsock = *machine.vsock;
    struct engine_machine started = ENGINE_MACHINE_NONE;
    struct engine_machine_config config = {
            .description = &machine, .end_with_host = true, .id_first = vm->config->id_first};
    int saved[3], own[3];

    vsock.fd = (struct opt_i64){true, run->fds[vm->listen_slot]};
    vsock.agent_fd = (struct opt_i64){true, run->fds[vm->vmm_slot]};
    machine.control_fd = (struct opt_i64){true, run->fds[vm->control_slot]};
    if (vm_has_template(vm, run))
        go_on_from(vm, &machine, run->fds[vm->template_slot]);
    machine.vsock = &vsock;
    vm_network_give(vm, run, &machine);
    machine.console.output = (struct opt_i64){true, STDOUT_FILENO};
    _cleanup_close_ int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    own[0] = null_fd;
    own[1] = own[2] = run->fds[vm->log_end_slot];
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        dup2(own[i], i);
    }
    int r = engine_machine_start(vm->arena, &config, &started, err);
    if (r == 0 && started.refused)
        (void)eventfd_write(run->fds[vm->uncaged_slot], 1);
    for (int i = 0; i < 3; i++) {
        if (saved[i] >= 0)
            dup2(saved[i], i);
        else
            close(i);
        cleanup_close(&saved[i]);
    }
    cleanup_close(&run->fds[vm->vmm_slot]);
    cleanup_close(&run->fds[vm->log_end_slot]);
    cleanup_close(&run->fds[vm->listen_slot]);
    cleanup_close(&run->fds[vm->control_slot]);
    return r;
}

static void start_describe(const struct step *step, struct step_text *text)
{
    bool root = !vm_of(step)->request->host->rootless;

    step_call(text,
            "clone3({flags=%sCLONE_NEWNS|CLONE_NEWPID|CLONE_NEWNET|CLONE_NEWIPC|CLONE_NEWUTS|"
            "CLONE_NEWCGROUP|CLONE_PIDFD, exit_signal=SIGCHLD}, 88)",
            root ? "" : "CLONE_NEWUSER|");
    step_call(text, "close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC)");
    step_call(text, "execve(\"viv-vmm\", [\"viv-vmm\", \"fd:<description>\"], <environment>)");
    step_call(text, "pivot_root(\".\", \".\")");
    if (root)
        step_call(text, "setns(<user namespace>, CLONE_NEWUSER)");
    step_call(text, "prctl(PR_SET_NO_NEW_PRIVS, 1)");
    step_call(text, "capset({effective=0, permitted=0, inheritable=0})");
    step_call(text, "seccomp(SECCOMP_SET_MODE_FILTER, 0, <of each thread>)");
    step_why(text,
            "Starts the process that is the machine; it ends with this one. Once it has opened "
            "what it needs, it is in a sandbox of its own: an empty root, ids that are nobody "
            "else's, no capability, and the few system calls that each thread makes.");
}

static const struct step_ops start_ops = {
        .name = "viv-vmm",
        .manual = "clone(2)",
        .apply = start_apply,
        .describe = start_describe,
};

void vm_step_start(struct plan *plan, struct vm *vm)
{
    plan_add(plan, STEP_CHILD, &start_ops, "", vm);
}

/* ---- the machine ----------------------------------------------------------------------------- */

struct part {
    const char *call, *why;
};

static void part_describe(const struct step *step, struct step_text *text)
{
    const struct part *part = step->args;

    step_call(text, "%s", part->call);
    step_why(text, "%s", part->why);
}

static const struct step_ops memory_ops = {
        .name = "memory", .manual = "mmap(2)", .describe = part_describe};
static const struct step_ops vcpu_ops = {
        .name = "vcpu", .manual = "pthread_create(3)", .describe = part_describe};
static const struct step_ops file_ops = {
        .name = "open", .manual = "openat(2)", .describe = part_describe};
static const struct step_ops socket_ops = {
        .name = "vsock", .manual = "vsock(7)", .describe = part_describe};

static void add_part(struct plan *plan, const struct step_ops *ops, const char *because,
        const char *call, const char *why)
{
    struct part *part = arena_new(plan->arena, struct part);

    *part = (struct part){call, why};
    plan_add(plan, STEP_MACHINE, ops, because, part);
}

static void add_shared(struct plan *plan, const char *because, const char *path, const char *why)
{
    add_part(plan, &file_ops, because,
            arena_printf(plan->arena,
                    "open_tree(AT_FDCWD, %s, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE)",
                    step_quote(plan->arena, path)),
            why);
}

static void add_share(struct plan *plan, const struct proto_share *share)
{
    if (str_equal(share->tag, VM_UPPER_TAG))
        add_shared(plan, "/root/path", share->folder.path,
                "What the workload changes of its root: shared with the guest, and kept.");
    else if (share->folder.path)
        add_shared(plan, "/mounts", share->folder.path,
                "A folder of the host, which the guest mounts by virtio-fs.");
    for (size_t i = 0; i < share->files.count; i++)
        add_shared(plan, "/mounts", share->files.items[i].file.path,
                "A single file of the host: the guest mounts a folder in which there is nothing "
                "but such files.");
}

void vm_steps_machine(struct plan *plan, struct vm *vm)
{
    const struct proto_machine *machine = &vm->machine;
    struct arena *arena = plan->arena;

    add_part(plan, &memory_ops, "/linux/resources/memory/limit",
            arena_printf(arena, "mmap(NULL, %llu, PROT_READ|PROT_WRITE, …)",
                    (unsigned long long)machine->memory),
            "The guest's memory: the workload's limit and what a kernel takes beside it.");
    add_part(plan, &vcpu_ops, "/linux/resources/cpu/quota",
            arena_printf(arena, "%u virtual CPU%s, a thread each", machine->cpus,
                    machine->cpus == 1 ? "" : "s"),
            "Enough for the CPU time that the workload may have.");
    add_part(plan, &file_ops, "",
            arena_printf(arena, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC)",
                    step_quote(arena, machine->kernel.path)),
            "The guest's kernel.");
    add_part(plan, &file_ops, "",
            arena_printf(arena, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC)",
                    step_quote(arena, machine->initrd.path)),
            "viv-agent, process 1 of the guest, and the modules that it loads.");
    for (size_t i = 0; i < machine->disks.count; i++)
        add_part(plan, &file_ops, "/root/path",
                arena_printf(arena, "openat(AT_FDCWD, %s, O_RDONLY|O_CLOEXEC)",
                        step_quote(arena, machine->disks.items[i].file.path)),
                "The root file system, as a disk that the guest cannot write to.");
    for (size_t i = 0; i < machine->shares.count; i++)
        add_share(plan, &machine->shares.items[i]);
    add_part(plan, &socket_ops, "", "a virtio socket device, context id 3",
            "The only way between host and guest: a stream for the agent.");
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* ---- the guest ------------------------------------------------------------------------------- */

struct agent_filter *vm_filter(
        struct arena *arena, const struct seccomp_filter *filter, struct agent_filter *into)
{
    if (!filter)
        return NULL;
    *into = (struct agent_filter){
            .code = agent_hex(arena, filter->code, filter->count * sizeof(*filter->code)),
            .flags = filter->flags,
    };
    return into;
}

/* Whole sectors of the root's disk. */
static uint64_t root_size(const struct vm *vm)
{
    struct stat status;
    int r = vm->config->root_fd >= 0 ? fstat(vm->config->root_fd, &status)
                                     : stat(vm->config->root, &status);

    return r < 0 ? 0 : (uint64_t)status.st_size & ~(uint64_t)(SECTOR - 1);
}

static int put_create(struct vm *vm, const struct plan_run *run, struct buf *out, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *config = spec_write(&vm->guest_spec);
    struct agent_filter filter;
    struct agent_create create = {
            .id = vm->guest.id,
            .config = json_text(config),
            .digest = vm->agent_plans_alike ? NULL : vm->digest,
            .filter = vm_filter(&arena, vm->guest.seccomp, &filter),
            .root = "disk",
            .root_size = root_size(vm),
            .upper = vm->config->upper ? VM_UPPER_TAG : NULL,
            .wait = vm->guest.wait_for_start,
            .interactive = vm->config->interactive,
            .delegate = vm->guest.delegate,
            .unmasked_devices = vm->guest.unmasked_devices,
            .before = vm->guest_from,
            .fail_at = run->faults.fail_at,
    };

    vm_network_send(vm, &arena, &create);
    vm_joined_send(vm, &arena, &create);
    int r = vm_send_mounts(vm, &arena, &create, err);
    if (r == 0)
        agent_put_record(out, AGENT_CREATE, &agent_create_record, &create);
    return r;
}

static int create(struct vm *vm, const struct plan_run *run, struct agent_link *link,
        struct buf *out, struct error *err)
{
    struct agent_frame frame;
    int r = put_create(vm, run, out, err);

    if (r == 0)
        r = agent_send(link, out, err);
    if (r == 0)
        r = agent_expect(link, VM_PATIENCE_MS, AGENT_CREATED, &frame, err);
    if (r == 0 && !vm->guest.wait_for_start)
        r = agent_expect(link, VM_PATIENCE_MS, AGENT_STARTED, &frame, err);
    return r;
}

/* The workload is there, and runs: it came with the snapshot. */
static int take_up(struct vm *vm, struct agent_link *link, struct buf *out, struct error *err)
{
    struct vm_going_on *going_on = vm->config->going_on;
    struct agent_frame frame;

    agent_put_record(out, AGENT_RESUME, &agent_resume_record, &going_on->passed);
    int r = agent_send(link, out, err);
    if (r == 0)
        r = agent_expect(link, VM_PATIENCE_MS, AGENT_RESUMED, &frame, err);
    if (r == 0)
        r = agent_read(&frame, &agent_resumed_record, vm->arena, &going_on->from, err);
    return r;
}

int vm_carry_guest(struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err)
{
    struct vm *vm = run->carrier_data[STEP_GUEST];
    _cleanup_(agent_link_free) struct agent_link link = {.fd = run->fds[vm->host_slot]};
    _cleanup_buf_ struct buf out = {.max = AGENT_TEXT_MAX};
    int64_t start = now_ns();

    (void)from, (void)to;
    if (vm->sent)
        return 0;
    int r = vm->config->going_on ? take_up(vm, &link, &out, err)
                                 : create(vm, run, &link, &out, err);
    vm->sent = r == 0;
    *ret_ns = now_ns() - start;
    return r;
}

/* ---- viv-shim -------------------------------------------------------------------------------- */

static int shim_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct vm *vm = vm_of(step);
    const int slots[] = {vm->host_slot, vm->status_slot, vm->log_slot};
    char numbers[ARRAY_SIZE(slots)][16];
    char *none[] = {NULL};
    const char *server = vm_joined_resolver(vm, vm->arena);
    char *argv[] = {(char *)(uintptr_t) "viv-shim", numbers[0], numbers[1], numbers[2],
            (char *)(uintptr_t)(server ? server : ""),
            vm->guest.wait_for_start ? (char *)(uintptr_t) "start" : NULL, NULL};

    (void)sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
        int fd = slots[i] >= 0 ? run->fds[slots[i]] : -1;
        if (fd >= 0)
            (void)fcntl(fd, F_SETFD, 0);
        snprintf(numbers[i], sizeof(numbers[i]), "%d", fd);
    }
    int r = sys_execve(vm->shim, argv, none);
    return error_sys(err, -r, "execute %s", vm->shim);
}

static void shim_describe(const struct step *step, struct step_text *text)
{
    const struct vm *vm = vm_of(step);

    step_call(text, "close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC)");
    step_call(text,
            "execve(%s, [\"viv-shim\", \"<agent>\", \"<status>\", \"<log>\", \"<name server>\"%s], "
            "[])",
            step_quote(text->arena, vm->shim), vm->guest.wait_for_start ? ", \"start\"" : "");
    step_why(text, "Stands on the host for the workload: its streams, its signals, its end.");
}

static const struct step_ops shim_ops = {
        .name = "execve",
        .manual = "execve(2)",
        .apply = shim_apply,
        .describe = shim_describe,
};

void vm_step_shim(struct plan *plan, struct vm *vm)
{
    plan_add(plan, STEP_CHILD, &shim_ops, "/process/args", vm);
}
