/*
 * Templates: machines that were booted once, as snapshots at "the agent is ready", from which later
 * ones of the same make go on. Kept below the data root, named by a key of all that the guest can
 * tell (kernel, initramfs, viv-vmm, command line, memory, vCPUs, the devices' slots, accelerator);
 * what differs from one sandbox to the next (disks' and folders' content, sockets) is no part of
 * it.
 *
 * A template that is damaged, cut short, foreign or of another version is removed, and made anew by
 * the start that found it so. Its memory is verified once, and again whenever the file's identity
 * or change time is another than it was then. At most TEMPLATES_MAX of them and TEMPLATES_BYTES are
 * kept; those that were not used for the longest time go first.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "proto/machine.h"

#define TEMPLATES_MAX 8
#define TEMPLATES_BYTES ((uint64_t)2 << 30)
#define TEMPLATE_KEY_SIZE 33

struct template
{
    const char *folder;          /* NULL: there are none for this machine */
    char key[TEMPLATE_KEY_SIZE]; /* hexadecimal */
};

/*
 * Works out the key of a machine; `program` is viv-vmm's path. Touches nothing. Files that cannot
 * be looked at are found out later, by who opens them: no template then.
 */
void template_init(struct template *template, const char *folder, const char *program,
        const struct proto_machine *machine);

/* An open template, good to go on from, or -1. One that is no good is removed. */
int template_open(const struct template *template);

/*
 * Keeps the machine at the other end of a control socket as the template. On failure nothing is
 * left; a machine does without. -EBUSY when another start makes the same one.
 */
int template_keep(const struct template *template, int control, struct error *err);

/* Removes one from which a machine did not go on. */
void template_drop(const struct template *template);
