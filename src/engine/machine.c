#include "engine/machine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "engine/idrange.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/program.h"
#include "sys/tap.h"
#include "sys/userns.h"

#define PROGRAM "viv-vmm"
#define REPORT_MAX 8192
#define OPENED_MAX 256
#define NAMESPACES                                                                                 \
    (uint64_t)(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |           \
               CLONE_NEWCGROUP)

/* What viv-vmm is given beside what the caller's description names; closed here once it runs. */
struct inherited {
    struct proto_machine wanted; /* the description as it is sent */
    struct proto_cage cage;
    int description, report, control, user_namespace;
    int opened[OPENED_MAX]; /* taps, folders and files */
    size_t opened_count;
};

static void close_inherited(struct inherited *given)
{
    while (given->opened_count > 0)
        close(given->opened[--given->opened_count]);
    cleanup_close(&given->user_namespace);
    cleanup_close(&given->description);
    cleanup_close(&given->report);
    cleanup_close(&given->control);
}

/* ---- its sandbox ---- */

static int note_opened(struct inherited *given, int fd, struct opt_i64 *into, struct error *err)
{
    if (given->opened_count == OPENED_MAX) {
        close(fd);
        return error_set(
                err, ENOSPC, "a machine is given %d taps, folders and files at most", OPENED_MAX);
    }
    given->opened[given->opened_count++] = fd;
    *into = (struct opt_i64){true, fd};
    return 0;
}

/* A tap device is in this network namespace, and viv-vmm will not be. */
static int attach_taps(struct arena *arena, struct inherited *given, struct error *err)
{
    struct proto_machine *wanted = &given->wanted;
    size_t count = wanted->nets.count;
    struct proto_net *nets = arena_memdup(arena, wanted->nets.items, count * sizeof(*nets));
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        if (!nets[i].tap || nets[i].fd.set)
            continue;
        int fd;
        r = sys_tap_attach(nets[i].tap, &fd, err);
        if (r == 0)
            r = note_opened(given, fd, &nets[i].fd, err);
    }
    wanted->nets.items = nets;
    return r;
}

/* A mount of a folder or file that nobody else sees, through viv-vmm's ids: what is root's on the
 * disk is its first id's there. */
static int mount_shared(const char *path, bool read_only, int user_namespace, struct error *err)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    _cleanup_close_ int fd =
            sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

    if (fd < 0)
        return error_sys(err, -fd, "open %s, which is to be shared", path);
    if (read_only)
        attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (user_namespace >= 0) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = (__u64)user_namespace;
    }
    int r = sys_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes);
    if (r < 0)
        return error_sys(err, -r, "mount_setattr of %s", path);
    return take_fd(&fd);
}

static int give_shared(struct inherited *given, struct proto_file *file, bool read_only,
        int user_namespace, struct error *err)
{
    if (!file->path || file->fd.set)
        return 0;
    int fd = mount_shared(file->path, read_only, user_namespace, err);
    return fd < 0 ? fd : note_opened(given, fd, &file->fd, err);
}

static int give_share(
        struct inherited *given, struct proto_share *share, int user_namespace, struct error *err)
{
    int r = give_shared(given, &share->folder, share->read_only, user_namespace, err);

    for (size_t i = 0; r == 0 && i < share->files.count; i++)
        r = give_shared(given, &share->files.items[i].file, share->files.items[i].read_only,
                user_namespace, err);
    return r;
}

static int give_shares(
        struct inherited *given, struct proto_share *shares, int user_namespace, struct error *err)
{
    size_t before = given->opened_count;
    int r = 0;

    for (size_t i = 0; r == 0 && i < given->wanted.shares.count; i++)
        r = give_share(given, &shares[i], user_namespace, err);
    while (r < 0 && given->opened_count > before)
        close(given->opened[--given->opened_count]);
    return r;
}

static struct proto_share *copy_shares(
        struct arena *arena, const struct proto_share *shares, size_t count)
{
    struct proto_share *copies = arena_memdup(arena, shares, count * sizeof(*shares));

    for (size_t i = 0; i < count; i++)
        copies[i].files.items = arena_memdup(arena, shares[i].files.items,
                shares[i].files.count * sizeof(*shares[i].files.items));
    return copies;
}

/* Where a file system cannot be seen through other ids, viv-vmm has to keep the host's, with no
 * rights but those over files, on the threads of the folders alone. */
static int open_shares(struct arena *arena, struct inherited *given, struct error *err)
{
    struct proto_machine *wanted = &given->wanted;
    const struct proto_share *given_shares = wanted->shares.items;
    size_t count = wanted->shares.count;
    struct error mapped = ERROR_NONE;

    if (!count)
        return 0;
    wanted->shares.items = copy_shares(arena, given_shares, count);
    if (give_shares(given, wanted->shares.items, given->user_namespace, &mapped) == 0)
        return 0;
    cleanup_close(&given->user_namespace);
    given->cage.user_namespace.set = false;
    wanted->shares.items = copy_shares(arena, given_shares, count);
    return give_shares(given, wanted->shares.items, -1, err);
}

/* Root: ids out of a range that nobody else has, in a user namespace that viv-vmm joins once it has
 * opened everything with root's rights. */
static int prepare_ids(
        struct arena *arena, uint32_t id_first, struct inherited *given, struct error *err)
{
    struct id_map map = {0, id_first, IDRANGE_SIZE};
    struct id_maps maps = {&map, 1};

    given->user_namespace = sys_userns_new(&maps, &maps, err);
    if (given->user_namespace < 0)
        return given->user_namespace;
    given->cage.user_namespace = (struct opt_i64){true, given->user_namespace};
    return open_shares(arena, given, err);
}

static int prepare_cage(struct arena *arena, const struct engine_machine_config *config,
        struct engine_machine *machine, struct inherited *given, struct error *err)
{
    int r = attach_taps(arena, given, err);

    if (r < 0 || (geteuid() == 0 && !config->id_first))
        return r;
    given->wanted.cage = &given->cage;
    if (geteuid() != 0)
        return 0;
    r = prepare_ids(arena, config->id_first, given, err);
    if (r != -EPERM)
        return r;
    /* root of a container, say, who may have no namespaces and mounts */
    machine->refused = true;
    given->wanted.cage = NULL;
    given->wanted.shares = config->description->shares;
    return 0;
}

static int write_map(const char *file, const char *text)
{
    return io_write_file_at(AT_FDCWD, file, text);
}

/* An ordinary user: the one id that needs no one's help to be mapped. In the child. */
static bool map_own_id(uid_t uid, gid_t gid)
{
    char users[32], groups[32];

    snprintf(users, sizeof(users), "0 %u 1", uid);
    snprintf(groups, sizeof(groups), "0 %u 1", gid);
    return write_map("/proc/self/setgroups", "deny") == 0 &&
           write_map("/proc/self/uid_map", users) == 0 &&
           write_map("/proc/self/gid_map", groups) == 0;
}

/* ---- starting ---- */

static int make_report(struct engine_machine *machine, struct inherited *given, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe2");
    machine->report = ends[0];
    given->report = ends[1];
    given->wanted.report_fd = (struct opt_i64){true, ends[1]};
    return 0;
}

static int make_control(struct engine_machine *machine, struct inherited *given, struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, errno, "socketpair");
    machine->control = ends[0];
    given->control = ends[1];
    given->wanted.control_fd = (struct opt_i64){true, ends[1]};
    return 0;
}

static int write_description(struct inherited *given, struct error *err)
{
    _cleanup_json_ struct json_object *json = record_write(&proto_machine_record, &given->wanted);
    _cleanup_close_ int fd = memfd_create("machine", MFD_CLOEXEC);
    const char *text = json_text(json);
    int r = fd < 0 ? -errno : io_write_all(fd, text, strlen(text));

    if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, r < 0 ? -r : errno, "keep the machine's description");
    given->description = take_fd(&fd);
    return 0;
}

static int prepare(struct arena *arena, const struct engine_machine_config *config,
        struct engine_machine *machine, struct inherited *given, struct error *err)
{
    given->wanted = *config->description;
    int r = prepare_cage(arena, config, machine, given, err);

    if (r == 0)
        r = make_report(machine, given, err);

    if (r == 0 && config->control)
        r = make_control(machine, given, err);
    return r < 0 ? r : write_description(given, err);
}

static void keep_open(struct opt_i64 *fd, void *data)
{
    (void)data;
    (void)fcntl((int)fd->value, F_SETFD, 0);
}

/* Who the child is: an ordinary user is mapped in a namespace of his own. */
struct starter {
    const char *program;
    bool end_with_host;
    uid_t uid;
    gid_t gid;
};

/* In the child. Signals wait until viv-vmm listens to them: as the first of its PID namespace it
 * would never see those that come before. */
static void run_program(const struct starter *starter, struct inherited *given)
{
    char from[32];
    char *argv[] = {(char *)(uintptr_t)PROGRAM, from, NULL};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (starter->end_with_host)
        (void)sys_prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (given->wanted.cage && starter->uid != 0 && !map_own_id(starter->uid, starter->gid))
        _exit(126);
    /* nothing of the caller's, who may have left a folder open: a guest that breaks out had it */
    (void)sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    proto_machine_visit_fds(&given->wanted, keep_open, NULL);
    (void)fcntl(given->description, F_SETFD, 0);
    snprintf(from, sizeof(from), "fd:%d", given->description);
    (void)sys_execve(starter->program, argv, environ);
    _exit(127);
}

static pid_t clone_program(const struct starter *starter, struct inherited *given, int *ret_pidfd)
{
    struct clone_args args = {
            .flags = CLONE_PIDFD, .pidfd = (uintptr_t)ret_pidfd, .exit_signal = SIGCHLD};

    if (given->wanted.cage)
        args.flags |= NAMESPACES | (starter->uid != 0 ? (uint64_t)CLONE_NEWUSER : 0);
    pid_t pid = sys_clone3(&args);
    if (pid == 0)
        run_program(starter, given);
    return pid;
}

/* Not everybody may have namespaces. Without them viv-vmm still gives up its rights and system
 * calls. */
static bool may_not(int r)
{
    return r == -EPERM || r == -ENOSPC || r == -EUSERS || r == -EINVAL;
}

static int start_plain(const struct starter *starter, const struct engine_machine_config *config,
        struct inherited *given, int *ret_pidfd, struct error *err)
{
    given->wanted.cage = NULL;
    given->wanted.shares = config->description->shares;
    cleanup_close(&given->description);
    int r = write_description(given, err);
    return r < 0 ? r : clone_program(starter, given, ret_pidfd);
}

int engine_machine_check_memory(uint64_t wanted, struct error *err)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t present = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);

    if (pages <= 0 || wanted <= present)
        return 0;
    return error_set(err, ENOMEM,
            "the machine would have %llu MiB of memory, and this host has %llu MiB: choose less "
            "with --memory",
            (unsigned long long)(wanted >> 20), (unsigned long long)(present >> 20));
}

int engine_machine_accelerator(struct arena *arena, const char **ret, struct error *err)
{
    _cleanup_buf_ struct buf said = {.max = REPORT_MAX};
    struct strv words = {0};
    struct program program = {.words = &words, .input = PROGRAM_NOTHING};
    int r = install_find_program(arena, PROGRAM, &program.path, err);

    if (r < 0)
        return r;
    strv_add(arena, &words, PROGRAM);
    strv_add(arena, &words, "--accelerator");
    r = program_run(&program, &said);
    if (r < 0)
        return error_sys(err, -r, "start %s", program.path);
    const char *line = arena_strndup(arena, buf_text(&said), strcspn(buf_text(&said), "\n"));
    if (r > 0)
        return error_set(err, EREMOTEIO, "%s: %s", PROGRAM, line);
    *ret = line;
    return 0;
}

int engine_machine_start(struct arena *arena, const struct engine_machine_config *config,
        struct engine_machine *ret, struct error *err)
{
    _cleanup_engine_machine_ struct engine_machine machine = ENGINE_MACHINE_NONE;
    _cleanup_(close_inherited) struct inherited given = {
            .description = -1, .report = -1, .control = -1, .user_namespace = -1};
    struct starter starter = {
            .end_with_host = config->end_with_host, .uid = geteuid(), .gid = getegid()};
    int r = install_find_program(arena, PROGRAM, &starter.program, err);

    if (r == 0)
        r = prepare(arena, config, &machine, &given, err);
    if (r < 0)
        return r;
    pid_t pid = clone_program(&starter, &given, &machine.pidfd);
    if (given.wanted.cage && may_not(pid)) {
        machine.refused = true;
        pid = start_plain(&starter, config, &given, &machine.pidfd, err);
    }
    if (pid < 0)
        return error_sys(err, -pid, "start %s", starter.program);
    machine.pid = pid;
    *ret = machine;
    machine = (struct engine_machine)ENGINE_MACHINE_NONE;
    return 0;
}

/* ---- its end ---- */

int engine_machine_signal(const struct engine_machine *machine, int signal)
{
    return sys_pidfd_send_signal(machine->pidfd, signal);
}

int engine_machine_wait(struct arena *arena, struct engine_machine *machine,
        struct proto_machine_end *ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = REPORT_MAX};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    siginfo_t info = {0};

    (void)sys_waitid(P_PID, (id_t)machine->pid, &info, WEXITED);
    machine->pid = 0;
    if (io_read_fd(machine->report, &text) < 0 || text.length == 0 ||
            json_parse(text.data, text.length, PROGRAM, &json, err) < 0) {
        bool killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
        return error_set(err, EIO,
                "%s ended %s %d without saying why; what it printed above may "
                "tell",
                PROGRAM, killed ? "by signal" : "with status", info.si_status);
    }
    struct proto_machine_end end = {0};
    record_read(&proto_machine_end_record, json, "", &end, &report);
    int r = record_error(&report, PROGRAM, err);
    if (r == 0)
        *ret = end;
    return r;
}

int engine_machine_status(const struct proto_machine_end *end)
{
    bool good = str_equal(end->reason, "poweroff") || str_equal(end->reason, "stopped");

    return str_equal(end->reason, "exit") ? end->status & 0xff : !good;
}

void engine_machine_close(struct engine_machine *machine)
{
    if (machine->pid > 0) {
        siginfo_t info;
        (void)sys_pidfd_send_signal(machine->pidfd, SIGKILL);
        (void)sys_waitid(P_PID, (id_t)machine->pid, &info, WEXITED);
        machine->pid = 0;
    }
    cleanup_close(&machine->pidfd);
    cleanup_close(&machine->report);
    cleanup_close(&machine->control);
}
