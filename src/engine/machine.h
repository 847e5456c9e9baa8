/*
 * A machine's process: viv-vmm, started with a description, asked to end, waited for. Used by
 * `viv boot` (boot.c) and by sandboxes with the isolation `vm`.
 *
 * viv-vmm inherits exactly the descriptors that the description names (kernel, disks, taps,
 * folders, the console …), under their numbers, beside its standard streams. They stay the
 * caller's, who may close them as soon as engine_machine_start() has returned.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "proto/machine.h"

struct engine_machine {
    pid_t pid; /* 0: it has been waited for */
    int pidfd;
    int report;   /* the line about its end comes here */
    int control;  /* our end of the control socket; -1: there is none */
    bool refused; /* the host refuses it a sandbox: it has only given up rights and system calls */
};

#define ENGINE_MACHINE_NONE                                                                        \
    {                                                                                              \
        .pidfd = -1, .report = -1, .control = -1                                                   \
    }

struct engine_machine_config {
    /* What to build. `report_fd` and `control_fd` are filled in here. */
    const struct proto_machine *description;
    bool control;       /* with a control socket (SOCK_SEQPACKET) */
    bool end_with_host; /* asked to end when the calling thread ends */
    uint32_t id_first;  /* root: a range of ids (idrange.h) that viv-vmm gets for itself; 0: none */
};

/* For the user, of a machine whose viv-vmm was refused a sandbox. */
#define ENGINE_MACHINE_UNCAGED                                                                     \
    "viv-vmm runs without namespaces of its own, which this host refuses to who starts it (its "   \
    "limits are in /proc/sys/user); it still gives up new privileges, the capabilities that it "   \
    "does not need and the system calls that it does not make"

/* Whether this host has so many bytes of memory at all. -ENOMEM. */
int engine_machine_check_memory(uint64_t wanted, struct error *err);

/* Which accelerator "auto" takes on this host, and why: "emu: no usable /dev/kvm (ENOENT)", as
 * viv-vmm says it, which tries /dev/kvm for up to half a second once. In the arena. -ENOENT when
 * viv-vmm is not installed. */
int engine_machine_accelerator(struct arena *arena, const char **ret, struct error *err);

/*
 * Starts viv-vmm, a child of the caller, in a sandbox of its own: new namespaces of all kinds, and,
 * once it has opened what the description names, an empty root, an id out of its range and no
 * capability (vmm/cage.h). Taps are attached to here, and folders to be shared are given as mounts
 * through its ids, since neither can be had from inside. Root needs `id_first` for that; an
 * ordinary user gets it where user namespaces are allowed.
 *
 * `*ret` is closed by engine_machine_close(). -ENOENT when
 * viv-vmm is not installed. What is wrong with the description shows at its end.
 */
int engine_machine_start(struct arena *arena, const struct engine_machine_config *config,
        struct engine_machine *ret, struct error *err);

/* Sends the process a signal: SIGTERM ends the machine as a whole and is reported as "stopped". */
int engine_machine_signal(const struct engine_machine *machine, int signal);

/*
 * Waits until the process has ended, and reads how the machine ended (texts in the arena). -EIO
 * when it ended without saying so: it was killed, or crashed. May be called once.
 */
int engine_machine_wait(struct arena *arena, struct engine_machine *machine,
        struct proto_machine_end *ret, struct error *err);

/* What a machine's end is as an exit status: 0 after a power off or when it was asked to stop, the
 * low byte of what the guest wrote to the debug exit port, else 1. */
int engine_machine_status(const struct proto_machine_end *end);

/* Kills the process if it still runs, and closes the descriptors. */
void engine_machine_close(struct engine_machine *machine);
#define _cleanup_engine_machine_ __attribute__((cleanup(engine_machine_close)))
