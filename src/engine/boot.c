#include "engine/boot.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "engine/idrange.h"
#include "engine/machine.h"
#include "engine/named.h"
#include "sys/tty.h"

struct boot {
    struct arena *arena;
    struct engine *engine;
    char name[32];     /* under which the ids are taken */
    uint32_t id_first; /* 0: none were */
    struct engine_machine machine;
    int console; /* where what is typed goes; -1: viv-vmm reads standard input itself */
    bool escaped;
    struct loop_source *typed;
    struct sys_tty_saved terminal;
};

static void end_boot(struct boot *boot)
{
    engine_machine_close(&boot->machine);
    if (boot->id_first)
        idrange_release(&boot->engine->store, boot->name, boot->id_first);
    sys_tty_restore(&boot->terminal);
    cleanup_close(&boot->console);
}

/* ---- the terminal ---- */

/* What was typed, without the escapes. False when the machine is to end. */
static bool filter_keys(struct boot *boot, const char *keys, size_t length, struct buf *ret)
{
    for (size_t i = 0; i < length; i++) {
        if (boot->escaped) {
            boot->escaped = false;
            if (keys[i] == 'x')
                return false;
            if (keys[i] != BOOT_ESCAPE)
                buf_add_char(ret, BOOT_ESCAPE);
        } else if (keys[i] == BOOT_ESCAPE) {
            boot->escaped = true;
            continue;
        }
        buf_add_char(ret, keys[i]);
    }
    return true;
}

static void on_typed(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct boot *boot = data;
    _cleanup_buf_ struct buf text = {0};
    char keys[256];
    ssize_t n = read(fd, keys, sizeof(keys));

    (void)loop;
    (void)events;
    if (n <= 0) {
        loop_remove(boot->typed);
        boot->typed = NULL;
        cleanup_close(&boot->console);
        return;
    }
    if (!filter_keys(boot, keys, (size_t)n, &text))
        (void)engine_machine_signal(&boot->machine, SIGTERM);
    if (text.length)
        (void)io_write_all(boot->console, text.data, text.length);
}

static void on_gone(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)fd;
    (void)events;
    (void)data;
    loop_quit(loop, 0);
}

static void on_signal(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    struct boot *boot = data;

    (void)loop;
    (void)engine_machine_signal(&boot->machine, (int)info->ssi_signo);
}

/* ---- starting ---- */

/* A terminal is read here, so that there is a way out; the machine gets the rest through a pipe. */
static int split_terminal(
        struct boot *boot, struct proto_console *console, int *ret_input, struct error *err)
{
    int ends[2];

    if (!isatty(STDIN_FILENO))
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe2");
    *ret_input = ends[0];
    boot->console = ends[1];
    console->input.value = ends[0];
    return 0;
}

/* A range of ids that is nobody else's, for as long as this process lives. */
static int take_ids(struct boot *boot, struct error *err)
{
    if (geteuid() != 0)
        return 0;
    snprintf(boot->name, sizeof(boot->name), "boot-%d", getpid());
    return idrange_take(&boot->engine->store, boot->name, &boot->id_first, err);
}

static int start(struct boot *boot, const struct proto_machine *machine, struct error *err)
{
    struct proto_machine wanted = *machine;
    struct engine_machine_config config = {.description = &wanted, .end_with_host = true};
    _cleanup_close_ int input = -1;

    int r = take_ids(boot, err);
    if (r < 0)
        return r;
    config.id_first = boot->id_first;
    wanted.console.output = (struct opt_i64){true, STDOUT_FILENO};
    wanted.console.input = (struct opt_i64){true, STDIN_FILENO};
    r = split_terminal(boot, &wanted.console, &input, err);
    return r < 0 ? r : engine_machine_start(boot->arena, &config, &boot->machine, err);
}

/* ---- waiting ---- */

static int wait_for_end(struct boot *boot, struct loop *loop, struct error *err)
{
    sigset_t set;
    int r = loop_add_fd(loop, boot->machine.pidfd, EPOLLIN, on_gone, boot, NULL);

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (r == 0)
        r = loop_add_signals(loop, &set, on_signal, boot, NULL);
    if (r == 0 && boot->console >= 0)
        r = loop_add_fd(loop, STDIN_FILENO, EPOLLIN, on_typed, boot, &boot->typed);
    if (r < 0)
        return error_sys(err, -r, "wait for the machine");
    if (boot->console >= 0)
        r = sys_tty_raw(STDIN_FILENO, &boot->terminal, err);
    return r < 0 ? r : loop_run(loop);
}

int engine_boot(struct engine *engine, const struct proto_machine *machine, engine_boot_tell tell,
        struct proto_machine_end *ret_end, int *ret_status, struct error *err)
{
    _cleanup_(end_boot) struct boot boot = {.arena = engine->arena,
            .engine = engine,
            .machine = ENGINE_MACHINE_NONE,
            .console = -1,
            .terminal.fd = -1};
    struct loop *loop = NULL;
    int r = engine_machine_check_memory(machine->memory, err);

    if (r == 0)
        r = loop_new(&loop, err);
    if (r == 0)
        r = start(&boot, machine, err);
    if (r == 0 && boot.machine.refused)
        tell("%s", ENGINE_MACHINE_UNCAGED);
    if (r == 0)
        r = wait_for_end(&boot, loop, err);
    if (r == 0)
        r = engine_machine_wait(engine->arena, &boot.machine, ret_end, err);
    loop_free(loop);
    if (r < 0)
        return r;
    *ret_status = engine_machine_status(ret_end);
    return 0;
}

int engine_boot_named(struct engine *engine, const char *name, struct proto_machine *machine,
        engine_boot_tell tell, int *ret_status, struct error *err)
{
    struct proto_machine_end end;
    int r = name ? named_begin(engine->arena, engine->data_root, name, machine, err) : 0;

    if (r < 0)
        return r;
    r = engine_boot(engine, machine, tell, &end, ret_status, err);
    if (!name)
        return r;
    close((int)machine->control_fd.value);
    named_end(engine->arena, engine->data_root, name);
    return r;
}
