/*
 * Snapshots of sandboxes that are machines, `viv snapshot NAME` and `viv restore NAME`. One is kept
 * of each sandbox, in its record:
 *
 *     snapshot         the machine, see proto/snapshot.h; its label is the one in
 *     snapshot.json    what has to be as it was, and how far its output had come
 *
 * Memory, devices, what is open in shared folders are in it; the content of files is not: the
 * root's changes and shared folders are what they are when it goes on.
 *
 * Of the output, what the workload has written before the snapshot comes out exactly once, in the
 * life that the snapshot was taken in or when it goes on from there: the agent keeps what was not
 * acknowledged, and a life's monitor counts what it has passed on. Where that monitor was killed,
 * what was on its way comes twice. Input that had not reached the machine is lost.
 */
#pragma once

#include "engine/engine.h"
#include "engine/vm.h"

/* What `inspect` shows of it. */
struct sandbox_snapshot {
    const char *label;
    const char *taken;          /* RFC 3339 */
    const char *life;           /* that it was taken in: when that was started */
    uint64_t root_checksum;     /* of its root's disk, vm_root.h */
    struct agent_resume passed; /* known once that life has ended */
    RECORD_LIST(struct net_join)
    addresses; /* network, ip, ip6, mac and interface are those that it had */
    RECORD_LIST(struct vm_net_device) devices; /* which of them were behind its devices */
};

/*
 * Writes a running machine's snapshot, in place of the one before; it stands still meanwhile. With
 * `stop` it ends then, and for good, as engine_stop() does; returns when it has. -EOPNOTSUPP for
 * what is no machine or is not kept, -ESRCH when it does not run, -EBUSY when it is paused, or has
 * something open that cannot be kept.
 */
int engine_snapshot(struct engine *engine, const char *name, bool stop, struct error *err);

/* The snapshot of a record; -ENOENT when there is none. */
int sandbox_snapshot_load(
        int record_fd, struct arena *arena, struct sandbox_snapshot *ret, struct error *err);

/* Bytes of the disk that it takes. */
uint64_t sandbox_snapshot_size(int record_fd);

/* Whether it is one that can go on from a snapshot now; errors of engine_restore(). */
int sandbox_check_restorable(const struct sandbox *sandbox, struct error *err);

/* Another life is about to begin, by who holds the record's lock: what the last one has told of its
 * end is noted with the snapshot that was taken in it. */
void sandbox_snapshot_settle(int record_fd);

/* For a life that goes on from it: opens it (the descriptor is the caller's), and asks for the
 * addresses that it had in `run->meta`. -ENOENT; -EBADMSG and -ENOEXEC when it is damaged, or
 * another's. */
int sandbox_snapshot_open(struct engine *engine, int record_fd, struct engine_run *run,
        struct vm_going_on *ret, struct error *err);
