#include "security/filter.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "plan/run.h"
#include "security/names.h"
#include "sys/filter.h"

struct connect_args {
    const char *path;
    int slot;
};

#define SEND_SECONDS 10 /* an agent that does not read fails the start, it does not hang it */

static int connect_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct connect_args *args = step->args;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = SEND_SECONDS};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return error_sys(err, errno, "make a socket for the seccomp agent");
    /* the length was checked when the step was made */
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", args->path);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, errno,
                "connect to the seccomp agent at \"%s\" (listenerPath): it has to listen before "
                "the container is created",
                args->path);
    run->fds[args->slot] = take_fd(&sock);
    return 0;
}

static void connect_describe(const struct step *step, struct step_text *text)
{
    const struct connect_args *args = step->args;

    step_call(text, "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0)");
    step_call(text, "setsockopt(<agent>, SOL_SOCKET, SO_SNDTIMEO_OLD, {tv_sec=%d, tv_usec=0}, 16)",
            SEND_SECONDS);
    step_call(text, "connect(<agent>, {sa_family=AF_UNIX, sun_path=%s}, 110)",
            step_quote(text->arena, args->path));
    step_why(text, "The agent that answers system calls is reached by the host's path.");
}

static const struct field connect_fields[] = {
        FIELD(struct connect_args, path, FIELD_STR),
        FIELD(struct connect_args, slot, FIELD_I32),
};
static const struct record connect_record = RECORD(struct connect_args, connect_fields);
static const struct step_ops connect_ops = {
        "connect", "unix(7)", connect_apply, NULL, connect_describe, &connect_record};

int filter_step_connect(struct plan *plan, enum step_place place, const char *because,
        const char *path, int slot, struct error *err)
{
    if (*path != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(err, EINVAL,
                "the seccomp agent's listenerPath \"%s\" is not an absolute path of at most 107 "
                "bytes",
                path);
    struct connect_args *args = arena_new(plan->arena, struct connect_args);
    *args = (struct connect_args){path, slot};
    plan_add(plan, place, &connect_ops, because, args);
    return 0;
}

/* An instruction of BPF is 8 bytes: it travels as one number. */
struct load_args {
    uint32_t flags;
    RECORD_LIST(uint64_t) code;
    bool listener;
    const char *metadata;
    const char *state;
    const char *version;
    int slot;
    int proc_slot;
};

/* What the two threads share. */
struct relay {
    int sock;
    const char *message;
    atomic_int fd;     /* RELAY_WAIT, then the notify descriptor, or RELAY_NONE */
    atomic_int result; /* RELAY_WAIT, then 0 or the negated errno */
};
#define RELAY_WAIT INT32_MIN
#define RELAY_NONE (-1)

static void *relay_run(void *data)
{
    const struct timespec pause = {.tv_nsec = 20000};
    struct relay *relay = data;
    int fd;

    while ((fd = atomic_load(&relay->fd)) == RELAY_WAIT)
        nanosleep(&pause, NULL);
    int r = 0;
    if (fd >= 0) {
        r = io_send_fds(relay->sock, relay->message, strlen(relay->message), &fd, 1);
        close(fd);
    }
    atomic_store(&relay->result, r);
    return NULL;
}

static int relay_start(struct relay *relay)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &attributes, relay_run, relay);
    pthread_attr_destroy(&attributes);
    return -r;
}

/* Without any system call: the filter may refuse each of them. */
static int relay_finish(struct relay *relay, int fd)
{
    int result;

    atomic_store(&relay->fd, fd >= 0 ? fd : RELAY_NONE);
    while ((result = atomic_load(&relay->result)) == RELAY_WAIT)
        __asm__ volatile("" ::: "memory");
    return result;
}

/* Our pid as the host sees it: the procfs is the host's. */
static int host_pid(const struct plan_run *run, int proc_slot, int64_t *ret)
{
    char text[32];
    ssize_t length = readlinkat(run->fds[proc_slot], "self", text, sizeof(text) - 1);

    if (length < 0)
        return -errno;
    text[length] = 0;
    return str_to_i64(text, ret);
}

/* The containerProcessState. */
static int make_message(
        const struct load_args *args, const struct plan_run *run, char **ret, struct error *err)
{
    _cleanup_json_ struct json_object *message = json_object_new_object();
    struct json_object *state = NULL;
    int64_t pid;

    int r = host_pid(run, args->proc_slot, &pid);
    if (r < 0)
        return error_sys(err, -r, "find our own pid for the seccomp agent");
    r = json_parse(args->state, strlen(args->state), "state", &state, err);
    if (r < 0)
        return r;
    json_object_object_add(state, "pid", json_object_new_int64(pid));
    json_add_str(message, "ociVersion", args->version);
    struct json_object *fds = json_object_new_array();
    json_object_array_add(fds, json_object_new_string("seccompFd"));
    json_object_object_add(message, "fds", fds);
    json_object_object_add(message, "pid", json_object_new_int64(pid));
    json_add_str(message, "metadata", args->metadata);
    json_object_object_add(message, "state", state);
    *ret = strdup(json_text(message));
    return *ret ? 0 : error_sys(err, ENOMEM, "write the state for the seccomp agent");
}

static int load_error(const struct load_args *args, int errnum, struct error *err)
{
    error_sys(err, errnum, "load the seccomp filter of %zu instructions", args->code.count);
    if (errnum == EINVAL)
        return error_append(err, "; it is longer than the kernel takes (4096), or the kernel lacks "
                                 "one of its flags");
    if (errnum == EACCES)
        return error_append(err, "; that asks for no_new_privs or CAP_SYS_ADMIN");
    if (errnum == EBUSY)
        return error_append(err, "; another listener is in force already: only one of the filters "
                                 "that a process is under can have one");
    return -errnum;
}

static int load_with_listener(const struct load_args *args, const struct sock_fprog *program,
        struct plan_run *run, struct error *err)
{
    struct relay relay = {.sock = run->fds[args->slot], .fd = RELAY_WAIT, .result = RELAY_WAIT};
    _cleanup_free_ char *message = NULL;

    int r = make_message(args, run, &message, err);
    if (r < 0)
        return r;
    relay.message = message;
    r = relay_start(&relay);
    if (r < 0)
        return error_sys(err, -r,
                "start the thread that hands the notify descriptor on (a limit of one process "
                "leaves no room for it)");
    int fd = sys_seccomp_filter(args->flags, program);
    r = relay_finish(&relay, fd);
    if (fd < 0)
        return load_error(args, -fd, err);
    take_ptr(message); /* free() may call the kernel, which the filter may not allow */
    return r < 0 ? error_sys(err, -r, "send the notify descriptor to the seccomp agent") : 0;
}

static int load_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct load_args *args = step->args;
    const struct sock_fprog program = {
            .len = (unsigned short)args->code.count,
            .filter = (struct sock_filter *)args->code.items,
    };

    if (args->listener)
        return load_with_listener(args, &program, run, err);
    int r = sys_seccomp_filter(args->flags, &program);
    return r < 0 ? load_error(args, -r, err) : 0;
}

static const struct name flag_rows[] = {
        {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
        {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
        {"SECCOMP_FILTER_FLAG_NEW_LISTENER", SECCOMP_FILTER_FLAG_NEW_LISTENER},
        {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};
static const struct names flags = NAMES("seccomp flag", flag_rows);

static void load_describe(const struct step *step, struct step_text *text)
{
    const struct load_args *args = step->args;

    step_call(text, "seccomp(SECCOMP_SET_MODE_FILTER, %s, {len=%zu, filter=<code>})",
            names_join(text->arena, &flags, args->flags), args->code.count);
    if (args->listener)
        step_call(text, "sendmsg(<agent>, <state and notify descriptor>, MSG_NOSIGNAL)");
    step_why(text, "Only the system calls that the profile allows reach the kernel.");
}

static const struct field load_fields[] = {
        FIELD(struct load_args, flags, FIELD_U32),
        FIELD(struct load_args, code, FIELD_U64S),
        FIELD(struct load_args, listener, FIELD_BOOL),
        FIELD(struct load_args, metadata, FIELD_STR),
        FIELD(struct load_args, state, FIELD_STR),
        FIELD(struct load_args, version, FIELD_STR),
        FIELD(struct load_args, slot, FIELD_I32),
        FIELD(struct load_args, proc_slot, FIELD_I32),
};
static const struct record load_record = RECORD(struct load_args, load_fields);
static const struct step_ops load_ops = {
        "seccomp", "seccomp(2)", load_apply, NULL, load_describe, &load_record};

int filter_step_load(struct plan *plan, enum step_place place, const char *because,
        const struct seccomp_filter *filter, const struct security_listener *listener, int slot,
        int proc_slot, struct error *err)
{
    bool listens = filter->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER;

    if (listens && (slot < 0 || !listener->state))
        return error_set(err, EINVAL,
                "the seccomp profile asks an agent (SCMP_ACT_NOTIFY) and has no listenerPath");
    if (listens && proc_slot < 0)
        return error_set(err, ENOENT, "the seccomp agent needs a procfs of our own");
    struct load_args *args = arena_new(plan->arena, struct load_args);
    *args = (struct load_args){
            .flags = filter->flags,
            .listener = listens,
            .metadata = listener->metadata,
            .state = listener->state,
            .version = listener->version,
            .slot = slot,
            .proc_slot = proc_slot,
    };
    args->code.count = filter->count;
    args->code.items = (uint64_t *)(uintptr_t)filter->code;
    plan_add(plan, place, &load_ops, because, args);
    return 0;
}
