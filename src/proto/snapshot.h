/*
 * The file that a machine's snapshot is kept in: a header, the state (a text of its own, see
 * vm/state.h), a table of checksums, and the memory image. Little-endian; written by viv-vmm, read
 * by viv-vmm and, to find damage before a machine is started, by engine/.
 *
 *     0               header, 4096 bytes
 *     state_offset    state_length bytes
 *     chunks_offset   a checksum for each chunk of memory; 0: all its bytes are zero, and the file
 *                     has a hole there
 *     memory_offset   memory_size bytes, a multiple of 4096, so that it can be mapped
 *
 * The header's checksum covers header, state and table, and is always verified. The memory's are
 * verified where the reader asks for it: at some GB/s that costs more than all the rest of a start.
 * Everything in a file is hostile until it has been checked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/error.h"

#define SNAPSHOT_MAGIC "VIVSNAP\n"
#define SNAPSHOT_VERSION 2
#define SNAPSHOT_LABEL_SIZE 64
#define SNAPSHOT_PAGE ((uint64_t)4096)
#define SNAPSHOT_STATE_MAX ((uint64_t)64 << 20) /* most of it: the names of shared files */
#define SNAPSHOT_CHUNK_MIN ((uint64_t)256 << 10)
#define SNAPSHOT_CHUNKS_MAX 4096 /* chunks grow with the memory */

struct proto_snapshot_header {
    char magic[8];
    uint32_t version;
    uint32_t cpus;
    uint64_t checksum; /* computed with this field 0 */
    uint64_t file_size;
    uint64_t state_offset, state_length;
    uint64_t chunks_offset, chunk_count, chunk_size;
    uint64_t memory_offset, memory_size;
    char label[SNAPSHOT_LABEL_SIZE]; /* what the maker called it; ends with a zero */
};

struct proto_snapshot {
    struct proto_snapshot_header header;
    const uint8_t *state; /* header.state_length bytes, in the arena */
    const uint64_t *chunks;
};

/* The chunk size for so much memory: a power of two. */
uint64_t proto_snapshot_chunk_size(uint64_t memory_size);

/*
 * Writes a snapshot over whatever the file held; `memory` are its parts one after the other, all
 * multiples of a page. Pages of zeros become holes. The file is not synced. A label that is too
 * long is cut; NULL: none.
 */
int proto_snapshot_write(int fd, const char *name, const char *label, uint32_t cpus,
        const void *state, size_t state_length, const struct iovec *memory, size_t count,
        struct error *err);

/*
 * Reads and verifies all but the memory. `name` opens the error's text. -ENOEXEC for what is no
 * snapshot, -EPROTONOSUPPORT for another version, -EBADMSG for damage: all three say that it has to
 * be made anew.
 */
int proto_snapshot_read(int fd, const char *name, struct arena *arena, struct proto_snapshot *ret,
        struct error *err);

/* Reads the whole memory image and compares its checksums; -EBADMSG. */
int proto_snapshot_verify_memory(
        int fd, const char *name, const struct proto_snapshot *snapshot, struct error *err);

/* Whether a failure means that the file is no good, rather than that it could not be read. */
bool proto_snapshot_is_bad(int r);
