#include "proto/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/cleanup.h"

#define ADVICE "; make it anew"

uint64_t proto_snapshot_chunk_size(uint64_t memory_size)
{
    uint64_t size = SNAPSHOT_CHUNK_MIN;

    while (memory_size / size >= SNAPSHOT_CHUNKS_MAX)
        size *= 2;
    return size;
}

static uint64_t align_up(uint64_t offset)
{
    return (offset + SNAPSHOT_PAGE - 1) & ~(SNAPSHOT_PAGE - 1);
}

static uint64_t checksum_of(
        const struct proto_snapshot_header *header, const void *state, const uint64_t *chunks)
{
    struct proto_snapshot_header copy = *header;

    copy.checksum = 0;
    uint64_t sum = checksum64(&copy, sizeof(copy), 0);
    sum = checksum64(state, header->state_length, sum);
    return checksum64(chunks, header->chunk_count * sizeof(*chunks), sum);
}

/* ---- writing ---- */

struct writer {
    int fd;
    const char *name;
    struct proto_snapshot_header header;
    uint64_t *chunks;
    uint64_t at; /* in the memory image */
};

static int write_at(const struct writer *writer, const void *data, size_t length, uint64_t at,
        struct error *err)
{
    const char *from = data;

    while (length) {
        ssize_t n = pwrite(writer->fd, from, length, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_sys(err, n < 0 ? errno : EIO, "write the snapshot %s", writer->name);
        from += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

static bool is_zero(const uint8_t *data, size_t length)
{
    uint64_t first;

    memcpy(&first, data, sizeof(first));
    return first == 0 && memcmp(data, data + sizeof(first), length - sizeof(first)) == 0;
}

/* Writes the pages of a chunk that are not zero, runs of them at once. */
static int write_pages(
        const struct writer *writer, const uint8_t *data, size_t length, struct error *err)
{
    size_t begin = 0;
    int r = 0;

    for (size_t at = 0; r == 0 && at <= length; at += SNAPSHOT_PAGE) {
        if (at < length && !is_zero(data + at, SNAPSHOT_PAGE))
            continue;
        if (at > begin)
            r = write_at(writer, data + begin, at - begin,
                    writer->header.memory_offset + writer->at + begin, err);
        begin = at + SNAPSHOT_PAGE;
    }
    return r;
}

/* A part starts where a chunk does, since all but the last are gigabytes. */
static int write_memory(struct writer *writer, const struct iovec *part, struct error *err)
{
    uint64_t step = writer->header.chunk_size;

    for (uint64_t at = 0; at < part->iov_len; at += step) {
        const uint8_t *data = (const uint8_t *)part->iov_base + at;
        size_t length = part->iov_len - at < step ? part->iov_len - at : step;
        if (!is_zero(data, length)) {
            writer->chunks[writer->at / step] = checksum64(data, length, 0);
            int r = write_pages(writer, data, length, err);
            if (r < 0)
                return r;
        }
        writer->at += length;
    }
    return 0;
}

static void lay_out(struct writer *writer, uint32_t cpus, size_t state_length, uint64_t memory_size)
{
    struct proto_snapshot_header *header = &writer->header;

    memcpy(header->magic, SNAPSHOT_MAGIC, sizeof(header->magic));
    header->version = SNAPSHOT_VERSION;
    header->cpus = cpus;
    header->state_offset = SNAPSHOT_PAGE;
    header->state_length = state_length;
    header->chunks_offset = align_up(header->state_offset + state_length);
    header->chunk_size = proto_snapshot_chunk_size(memory_size);
    header->chunk_count = (memory_size + header->chunk_size - 1) / header->chunk_size;
    header->memory_offset =
            align_up(header->chunks_offset + header->chunk_count * sizeof(uint64_t));
    header->memory_size = memory_size;
    header->file_size = header->memory_offset + memory_size;
}

int proto_snapshot_write(int fd, const char *name, const char *label, uint32_t cpus,
        const void *state, size_t state_length, const struct iovec *memory, size_t count,
        struct error *err)
{
    struct writer writer = {.fd = fd, .name = name};
    uint64_t memory_size = 0;
    int r = 0;

    for (size_t i = 0; i < count; i++)
        memory_size += memory[i].iov_len;
    if (state_length > SNAPSHOT_STATE_MAX)
        return error_set(err, EFBIG, "a state of %zu bytes", state_length);
    lay_out(&writer, cpus, state_length, memory_size);
    if (label)
        snprintf(writer.header.label, sizeof(writer.header.label), "%s", label);
    _cleanup_free_ uint64_t *chunks = calloc(writer.header.chunk_count, sizeof(uint64_t));
    if (!chunks)
        return error_set(err, ENOMEM, "out of memory");
    writer.chunks = chunks;
    /* the header comes last: a file that was written in part is none */
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)writer.header.file_size) < 0)
        return error_sys(err, errno, "write the snapshot %s", name);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_memory(&writer, &memory[i], err);
    if (r == 0)
        r = write_at(&writer, chunks, writer.header.chunk_count * sizeof(uint64_t),
                writer.header.chunks_offset, err);
    if (r == 0)
        r = write_at(&writer, state, state_length, writer.header.state_offset, err);
    writer.header.checksum = checksum_of(&writer.header, state, chunks);
    if (r == 0)
        r = write_at(&writer, &writer.header, sizeof(writer.header), 0, err);
    return r;
}

/* ---- reading ---- */

bool proto_snapshot_is_bad(int r)
{
    return r == -ENOEXEC || r == -EPROTONOSUPPORT || r == -EBADMSG;
}

static int read_at(
        int fd, const char *name, void *data, size_t length, uint64_t at, struct error *err)
{
    char *to = data;

    while (length) {
        ssize_t n = pread(fd, to, length, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, errno, "read the snapshot %s", name);
        if (n == 0)
            return error_set(err, EBADMSG, "%s: the snapshot is cut short" ADVICE, name);
        to += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

/* Whether a range lies inside the file, without overflow. */
static bool is_inside(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

/* What all later arithmetic counts on. */
static bool is_sound(const struct proto_snapshot_header *header)
{
    uint64_t size = header->file_size;

    return memchr(header->label, 0, sizeof(header->label)) &&
           header->state_length <= SNAPSHOT_STATE_MAX && header->cpus > 0 &&
           header->chunk_count > 0 && header->chunk_count <= SNAPSHOT_CHUNKS_MAX &&
           header->memory_size > 0 && header->memory_size % SNAPSHOT_PAGE == 0 &&
           header->memory_offset % SNAPSHOT_PAGE == 0 &&
           header->chunk_size == proto_snapshot_chunk_size(header->memory_size) &&
           header->chunk_count ==
                   (header->memory_size + header->chunk_size - 1) / header->chunk_size &&
           is_inside(header->state_offset, header->state_length, size) &&
           is_inside(header->chunks_offset, header->chunk_count * sizeof(uint64_t), size) &&
           is_inside(header->memory_offset, header->memory_size, size);
}

static int read_header(
        int fd, const char *name, struct proto_snapshot_header *ret, struct error *err)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return error_sys(err, errno, "fstat of the snapshot %s", name);
    if ((uint64_t)status.st_size < SNAPSHOT_PAGE)
        return error_set(err, ENOEXEC, "%s is no snapshot of a machine", name);
    int r = read_at(fd, name, ret, sizeof(*ret), 0, err);
    if (r < 0)
        return r;
    if (memcmp(ret->magic, SNAPSHOT_MAGIC, sizeof(ret->magic)) != 0)
        return error_set(err, ENOEXEC,
                "%s is no snapshot of a machine, or one that was not written to its end", name);
    if (ret->version != SNAPSHOT_VERSION)
        return error_set(err, EPROTONOSUPPORT,
                "%s: a snapshot of version %u; this program knows version %d" ADVICE, name,
                ret->version, SNAPSHOT_VERSION);
    if ((uint64_t)status.st_size < ret->file_size)
        return error_set(err, EBADMSG,
                "%s: the snapshot is cut short: %" PRIu64 " bytes of %" PRIu64 ADVICE, name,
                (uint64_t)status.st_size, ret->file_size);
    return is_sound(ret)
                   ? 0
                   : error_set(err, EBADMSG, "%s: the snapshot's header is damaged" ADVICE, name);
}

int proto_snapshot_read(int fd, const char *name, struct arena *arena, struct proto_snapshot *ret,
        struct error *err)
{
    struct proto_snapshot_header header;
    int r = read_header(fd, name, &header, err);

    if (r < 0)
        return r;
    uint8_t *state = arena_alloc(arena, header.state_length + 1);
    uint64_t *chunks = arena_new_array(arena, uint64_t, header.chunk_count);
    r = read_at(fd, name, state, header.state_length, header.state_offset, err);
    if (r == 0)
        r = read_at(
                fd, name, chunks, header.chunk_count * sizeof(*chunks), header.chunks_offset, err);
    if (r < 0)
        return r;
    if (checksum_of(&header, state, chunks) != header.checksum)
        return error_set(err, EBADMSG,
                "%s: the snapshot's state is damaged (its checksum differs)" ADVICE, name);
    *ret = (struct proto_snapshot){header, state, chunks};
    return 0;
}

/* A chunk that is all zeros is read only if the file has data there. */
static bool is_hole(int fd, uint64_t offset, uint64_t length)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

    return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + length;
}

int proto_snapshot_verify_memory(
        int fd, const char *name, const struct proto_snapshot *snapshot, struct error *err)
{
    const struct proto_snapshot_header *header = &snapshot->header;
    _cleanup_free_ uint8_t *data = malloc(header->chunk_size);
    int r = 0;

    if (!data)
        return error_set(err, ENOMEM, "out of memory");
    for (uint64_t i = 0; r == 0 && i < header->chunk_count; i++) {
        uint64_t at = i * header->chunk_size, rest = header->memory_size - at;
        size_t length = rest < header->chunk_size ? rest : header->chunk_size;
        if (!snapshot->chunks[i] && is_hole(fd, header->memory_offset + at, length))
            continue;
        r = read_at(fd, name, data, length, header->memory_offset + at, err);
        bool good = snapshot->chunks[i] ? checksum64(data, length, 0) == snapshot->chunks[i]
                                        : is_zero(data, length);
        if (r == 0 && !good)
            r = error_set(err, EBADMSG,
                    "%s: the snapshot's memory is damaged near guest byte 0x%" PRIx64
                    " (its checksum differs)" ADVICE,
                    name, at);
    }
    return r;
}
