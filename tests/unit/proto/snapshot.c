#include "proto/snapshot.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test.h"

#define MEMORY ((size_t)3 << 20)

static int make(uint8_t *memory)
{
    struct iovec part = {memory, MEMORY};
    int fd = memfd_create("snapshot", MFD_CLOEXEC);

    memset(memory, 0, MEMORY);
    memset(memory + (1 << 20), 0x5a, 100);
    memory[MEMORY - 1] = 1;
    if (proto_snapshot_write(fd, "test", "a label", 2, "state", 5, &part, 1, NULL) < 0)
        cleanup_close(&fd);
    return fd;
}

static void flip(int fd, off_t at)
{
    uint8_t byte = 0;

    (void)!pread(fd, &byte, 1, at);
    byte ^= 0x10;
    (void)!pwrite(fd, &byte, 1, at);
}

TEST(snapshot_is_read_as_written)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_free_ uint8_t *memory = malloc(MEMORY);
    _cleanup_close_ int fd = make(memory);
    struct proto_snapshot snapshot;
    struct stat status;

    CHECK_INT(proto_snapshot_read(fd, "test", &arena, &snapshot, NULL), 0);
    CHECK_INT(snapshot.header.cpus, 2);
    CHECK_STR(snapshot.header.label, "a label");
    CHECK_INT(snapshot.header.state_length, 5);
    CHECK(memcmp(snapshot.state, "state", 5) == 0);
    CHECK_INT(snapshot.header.memory_size, MEMORY);
    CHECK_INT(snapshot.header.chunk_count, 12);
    CHECK_INT(snapshot.chunks[0], 0);
    CHECK(snapshot.chunks[4] && snapshot.chunks[11]);
    CHECK_INT(proto_snapshot_verify_memory(fd, "test", &snapshot, NULL), 0);
    CHECK_INT(fstat(fd, &status), 0);
    CHECK(status.st_blocks * 512 <= 32 << 10); /* holes stayed holes, also for the verifier */
    uint8_t byte;
    CHECK_INT(pread(fd, &byte, 1, (off_t)(snapshot.header.memory_offset + MEMORY - 1)), 1);
    CHECK_INT(byte, 1);
}

/* Each byte of header, state and table counts. */
TEST(snapshot_damage_is_noticed_everywhere)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_free_ uint8_t *memory = malloc(MEMORY);
    _cleanup_close_ int fd = make(memory);
    struct proto_snapshot good, snapshot;

    CHECK_INT(proto_snapshot_read(fd, "test", &arena, &good, NULL), 0);
    for (size_t i = 0; i < sizeof(good.header); i++) {
        flip(fd, (off_t)i);
        CHECK(proto_snapshot_is_bad(proto_snapshot_read(fd, "test", &arena, &snapshot, NULL)));
        flip(fd, (off_t)i);
    }
    for (uint64_t i = 0; i < good.header.chunk_count * 8; i++) {
        flip(fd, (off_t)(good.header.chunks_offset + i));
        CHECK_INT(proto_snapshot_read(fd, "test", &arena, &snapshot, NULL), -EBADMSG);
        flip(fd, (off_t)(good.header.chunks_offset + i));
    }
    CHECK_INT(proto_snapshot_read(fd, "test", &arena, &snapshot, NULL), 0);
    for (uint64_t at = 77; at < MEMORY; at += 200001) {
        flip(fd, (off_t)(good.header.memory_offset + at));
        CHECK_INT(proto_snapshot_verify_memory(fd, "test", &good, NULL), -EBADMSG);
        flip(fd, (off_t)(good.header.memory_offset + at));
    }
    CHECK_INT(proto_snapshot_verify_memory(fd, "test", &good, NULL), 0);
}

TEST(snapshot_chunks_grow_with_memory)
{
    CHECK_INT(proto_snapshot_chunk_size(4096), 256 << 10);
    CHECK_INT(proto_snapshot_chunk_size((uint64_t)512 << 30), (uint64_t)256 << 20);
    for (uint64_t size = 4096; size <= (uint64_t)1 << 40; size *= 2)
        CHECK(size / proto_snapshot_chunk_size(size) < SNAPSHOT_CHUNKS_MAX);
}

TEST_MAIN()
