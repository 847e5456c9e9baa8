#include "sys/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "sys/process.h"

static void add_stream(posix_spawn_file_actions_t *actions, int from, int to)
{
    if (from == PROGRAM_NOTHING)
        posix_spawn_file_actions_addopen(actions, to, "/dev/null", O_RDWR, 0);
    else
        posix_spawn_file_actions_adddup2(actions, from, to);
}

/* Descriptors are moved out of the way of the numbers that they are to get. */
static int add_handed(
        posix_spawn_file_actions_t *actions, const struct program *program, int *above)
{
    int free_from = PROGRAM_HANDED_FIRST + (int)program->handed_count;

    for (size_t i = 0; i < program->handed_count; i++) {
        above[i] = fcntl(program->handed[i], F_DUPFD_CLOEXEC, free_from);
        if (above[i] < 0)
            return errno;
        posix_spawn_file_actions_adddup2(actions, above[i], PROGRAM_HANDED_FIRST + (int)i);
    }
    return 0;
}

static void set_signals(posix_spawnattr_t *attributes)
{
    sigset_t all, none;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

pid_t program_start(const struct program *program)
{
    _cleanup_arena_ struct arena arena = {0};
    int *above = arena_new_array(&arena, int, program->handed_count + 1);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;

    memset(above, -1, (program->handed_count + 1) * sizeof(*above));
    set_signals(&attributes);
    posix_spawn_file_actions_init(&actions);
    add_stream(&actions, program->input, STDIN_FILENO);
    add_stream(&actions, program->output, STDOUT_FILENO);
    add_stream(&actions, program->errors, STDERR_FILENO);
    int r = add_handed(&actions, program, above); /* last: a stream may be at one of the numbers */
    posix_spawn_file_actions_addclosefrom_np(
            &actions, PROGRAM_HANDED_FIRST + (int)program->handed_count);
    if (r == 0)
        r = posix_spawnp(
                &pid, program->path, &actions, &attributes, program->words->words, environ);
    for (size_t i = 0; i < program->handed_count; i++)
        cleanup_close(&above[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return r ? -r : pid;
}

static void read_all(int fd, struct buf *said)
{
    char chunk[512];
    ssize_t got;

    while ((got = TEMP_FAILURE_RETRY(read(fd, chunk, sizeof(chunk)))) > 0)
        buf_add(said, chunk, (size_t)got);
}

int program_run(const struct program *program, struct buf *said)
{
    struct program with_pipe = *program;
    siginfo_t info = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_close_ int from = ends[0];
    _cleanup_close_ int to = ends[1];
    with_pipe.output = with_pipe.errors = to;
    pid_t pid = program_start(&with_pipe);
    if (pid < 0)
        return pid;
    cleanup_close(&to);
    read_all(from, said);
    int r = sys_waitid(P_PID, (id_t)pid, &info, WEXITED);
    if (r < 0)
        return r;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
