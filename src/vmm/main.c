/*
 * viv-vmm: one machine. Reads its description (proto/machine.h, JSON) from a file or an inherited
 * descriptor, builds the machine, runs it, and tells how it ended: in words on standard error, as
 * one line of JSON on the description's reportFd, and by its exit status:
 *
 *     0  power off, or asked to stop     N  the debug exit port said so (its low byte)
 *     1  viv-vmm failed                  3  reset   4  panic   5  triple fault
 *
 * With --accelerator it tells which one "auto" takes on this host, and why, in one line.
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vm/choose.h"
#include "vm/machine.h"
#include "vmm/cage.h"
#include "vmm/control.h"
#include "vmm/filter.h"
#include "vmm/singles.h"

#define DESCRIPTION_MAX ((size_t)1 << 20)
#define VERDICTS "/run/viv" /* where the verdict on /dev/kvm is kept */
#define BECAUSE_MAX 512

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_RESET = 3, EXIT_PANIC = 4, EXIT_CRASH = 5 };

struct vmm {
    struct loop *loop;
    struct machine *machine;
    struct control control;
    struct machine_end end;
};

static int read_description(const char *from, struct json_object **ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = DESCRIPTION_MAX};
    const char *number = str_after(from, "fd:");
    int fd, r;

    if (!number)
        return json_parse_file_at(AT_FDCWD, from, ret, err);
    if (str_to_int(number, &fd) < 0)
        return error_set(err, EINVAL, "%s: expected fd:NUMBER", from);
    r = io_read_fd(fd, &text);
    if (r < 0)
        return error_sys(err, -r, "read the machine's description from descriptor %d", fd);
    return json_parse(buf_text(&text), text.length, "description", ret, err);
}

static void on_end(void *data, const struct machine_end *end)
{
    struct vmm *vmm = data;

    vmm->end = *end;
    loop_quit(vmm->loop, 0);
}

static void on_signal(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    struct vmm *vmm = data;

    (void)loop;
    (void)info;
    machine_stop(vmm->machine);
}

static int listen_to_signals(struct vmm *vmm, struct error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int r = loop_add_signals(vmm->loop, &set, on_signal, vmm, NULL);
    return r < 0 ? error_sys(err, -r, "signalfd") : 0;
}

static int run(struct vmm *vmm, struct proto_machine *description, struct error *err)
{
    struct machine_config config = {.description = description,
            .loop = vmm->loop,
            .confine = filter_confine,
            .on_end = on_end,
            .data = vmm};
    static char because[BECAUSE_MAX]; /* as long as the machine, which tells it */
    int r = accel_choose(
            description->accel, VERDICTS, &config.accel, because, sizeof(because), err);

    if (r < 0)
        return r;
    if (!str_equal(description->accel, config.accel->name))
        fprintf(stderr, "viv-vmm: %s: %s\n", config.accel->name, because);
    config.accel_because = because;
    r = singles_gather(description, err);
    if (r == 0)
        r = machine_build(&config, &vmm->machine, err);
    if (r == 0)
        r = listen_to_signals(vmm, err);
    if (r == 0 && description->control_fd.set)
        r = control_init(
                &vmm->control, vmm->loop, (int)description->control_fd.value, vmm->machine, err);
    if (r == 0)
        r = cage_enter(description, err);
    if (r == 0)
        r = machine_start(vmm->machine, err);
    if (r == 0) {
        filter_confine(THREAD_LOOP);
        r = loop_run(vmm->loop);
    }
    return r;
}

static void report(const struct proto_machine *description, const struct machine_end *end)
{
    struct proto_machine_end told = {
            .reason = machine_end_name(end->reason),
            .status = (int)end->status,
            .message = end->reason == MACHINE_FAILED ? end->error.text : NULL,
    };

    if (end->reason == MACHINE_FAILED)
        fprintf(stderr, "viv-vmm: %s\n", end->error.text);
    else if (end->reason != MACHINE_EXIT && end->reason != MACHINE_POWEROFF)
        fprintf(stderr, "viv-vmm: the machine ended: %s\n", told.reason);
    if (!description->report_fd.set)
        return;
    _cleanup_json_ struct json_object *json = record_write(&proto_machine_end_record, &told);
    _cleanup_buf_ struct buf line = {0};
    buf_printf(&line, "%s\n", json_text(json));
    (void)io_write_all((int)description->report_fd.value, line.data, line.length);
}

static int exit_status(const struct machine_end *end)
{
    switch (end->reason) {
    case MACHINE_EXIT:
        return (int)(end->status & 0xff);
    case MACHINE_RESET:
        return EXIT_RESET;
    case MACHINE_PANIC:
        return EXIT_PANIC;
    case MACHINE_CRASH:
        return EXIT_CRASH;
    case MACHINE_FAILED:
        return EXIT_FAILED;
    default:
        return 0;
    }
}

static int tell_accelerator(void)
{
    const struct accel_ops *chosen;
    char because[BECAUSE_MAX];
    struct error err = ERROR_NONE;

    int r = accel_choose("auto", VERDICTS, &chosen, because, sizeof(because), &err);
    if (r < 0)
        puts(err.text);
    else
        printf("%s: %s\n", chosen->name, because);
    return r < 0 ? EXIT_FAILED : 0;
}

int main(int argc, char **argv)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct proto_machine description = {0};
    struct vmm vmm = {0};
    struct error err = ERROR_NONE;

    (void)mallopt(
            M_ARENA_MAX, 1); /* one heap: threads here allocate little, and each costs memory */
    if (argc != 2) {
        fprintf(stderr, "usage: viv-vmm FILE|fd:NUMBER|--accelerator\n");
        return EXIT_USAGE;
    }
    if (str_equal(argv[1], "--accelerator"))
        return tell_accelerator();
    int r = read_description(argv[1], &json, &err);
    if (r == 0)
        r = proto_machine_read(json, &arena, &description, &err);
    if (r == 0)
        r = loop_new(&vmm.loop, &err);
    if (r == 0)
        r = run(&vmm, &description, &err);
    if (r < 0) {
        vmm.end.reason = MACHINE_FAILED;
        vmm.end.error = err;
    }
    control_free(&vmm.control);
    machine_free(vmm.machine);
    loop_free(vmm.loop);
    report(&description, &vmm.end);
    return exit_status(&vmm.end);
}
