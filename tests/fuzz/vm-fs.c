/*
 * Requests to a shared folder, as a hostile guest would send them. The input is a list of requests;
 * each has an operation, a file, its arguments as bytes, names out of a few, and an answer's room.
 * The folder is a small file system in memory that nobody else sees. Now and then the share is kept
 * as a snapshot does, and another one goes on from that: whatever the guest did, it must be able
 * to.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/mount.h"
#include "vm/share/share.h"

#define REQUESTS_MAX 200

struct input {
    const uint8_t *data;
    size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes && input->left; i++, input->left--)
        value = value << 8 | *input->data++;
    return value;
}

/* The operations with the size of their arguments and how many names follow. */
static const struct {
    uint32_t opcode;
    uint8_t arguments, names;
} operations[] = {
        {FUSE_LOOKUP, 0, 1},
        {FUSE_FORGET, 8, 0},
        {FUSE_GETATTR, 16, 0},
        {FUSE_SETATTR, 88, 0},
        {FUSE_READLINK, 0, 0},
        {FUSE_SYMLINK, 0, 2},
        {FUSE_MKNOD, 16, 1},
        {FUSE_MKDIR, 8, 1},
        {FUSE_UNLINK, 0, 1},
        {FUSE_RMDIR, 0, 1},
        {FUSE_RENAME, 8, 2},
        {FUSE_LINK, 8, 1},
        {FUSE_OPEN, 8, 0},
        {FUSE_READ, 40, 0},
        {FUSE_WRITE, 40, 2},
        {FUSE_STATFS, 0, 0},
        {FUSE_RELEASE, 24, 0},
        {FUSE_FSYNC, 16, 0},
        {FUSE_SETXATTR, 8, 2},
        {FUSE_GETXATTR, 8, 1},
        {FUSE_LISTXATTR, 8, 0},
        {FUSE_REMOVEXATTR, 0, 1},
        {FUSE_INIT, 64, 0},
        {FUSE_OPENDIR, 8, 0},
        {FUSE_READDIR, 40, 0},
        {FUSE_RELEASEDIR, 24, 0},
        {FUSE_CREATE, 16, 1},
        {FUSE_INTERRUPT, 8, 0},
        {FUSE_DESTROY, 0, 0},
        {FUSE_BATCH_FORGET, 24, 0},
        {FUSE_FALLOCATE, 32, 0},
        {FUSE_READDIRPLUS, 40, 0},
        {FUSE_RENAME2, 16, 2},
        {FUSE_LSEEK, 24, 0},
        {FUSE_COPY_FILE_RANGE, 56, 0},
};

static const char *const names[] = {"a", "b", "c", "..", ".", "", "a/b", "user.x", "/etc/passwd"};

/* Mostly small numbers, as those that were given out are. */
static void put_arguments(struct input *input, char *at, size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t kind = take(input, 1);
        uint64_t value = kind < 200 ? kind % 32 : kind < 240 ? take(input, 2) : take(input, 8);
        memcpy(at + i, &value, sizeof(value));
    }
}

static size_t compose(struct input *input, char *request)
{
    unsigned which = (unsigned)take(input, 1);
    struct fuse_in_header in = {.unique = 1, .nodeid = take(input, 1) % 12};
    size_t length = sizeof(in);

    if (which < 250) {
        which %= sizeof(operations) / sizeof(operations[0]);
        in.opcode = operations[which].opcode;
        put_arguments(input, request + length, operations[which].arguments);
        length += operations[which].arguments;
        for (unsigned i = 0; i < operations[which].names; i++) {
            const char *name = names[take(input, 1) % (sizeof(names) / sizeof(names[0]))];
            memcpy(request + length, name, strlen(name) + 1);
            length += strlen(name) + 1;
        }
    } else {
        in.opcode = (uint32_t)take(input, 2);
        for (size_t bytes = take(input, 1); bytes > 0; bytes--)
            request[length++] = (char)take(input, 1);
    }
    in.len = (uint32_t)length - (take(input, 1) == 77);
    memcpy(request, &in, sizeof(in));
    return length;
}

static void send_one(struct share *share, char *request, size_t length, size_t room)
{
    /* of the very size, so that what lies outside is noticed */
    char *copy = malloc(length), *answer = malloc(room ? room : 1);
    struct virtq_chain chain = {.readable = 2,
            .writable = 1,
            .readable_bytes = length,
            .writable_bytes = room,
            .segments = {{copy, 1}, {copy + 1, length - 1}, {answer, room}}};

    memcpy(copy, request, length);
    if (share_serve(share, &chain) > room)
        abort();
    free(copy);
    free(answer);
}

static void start(struct share *share)
{
    struct {
        struct fuse_in_header in;
        struct fuse_init_in init;
    } request = {{.len = sizeof(request), .opcode = FUSE_INIT},
            {.major = 7,
                    .minor = 36,
                    .max_readahead = 65536,
                    .flags = UINT32_MAX & ~FUSE_INIT_EXT}};

    send_one(share, (char *)&request, sizeof(request), 256);
}

/* A new empty file system that is mounted nowhere. Unmounting waits for all CPUs: one serves many
 * inputs, each in a folder of its own. */
static int make_system(void)
{
    int fs = sys_fsopen("tmpfs", 0);

    if (fs < 0 || sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", "16m", 0) < 0 ||
            sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        abort();
    int top = sys_fsmount(fs, 0, 0);
    close(fs);
    if (top < 0)
        abort();
    return top;
}

static int make_folder(void)
{
    static int top = -1;
    static unsigned count;
    char name[16];

    if (count++ % 200 == 0) {
        if (top >= 0)
            close(top);
        top = make_system();
    }
    snprintf(name, sizeof(name), "%u", count);
    if (mkdirat(top, name, 0755) < 0)
        abort();
    int folder = openat(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || mkdirat(folder, "a", 0755) < 0 || symlinkat("/etc", folder, "b") < 0)
        abort();
    return folder;
}

static void begin_process(void)
{
    static bool begun;

    if (begun)
        return;
    begun = true;
    if (geteuid() != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        abort();
}

/* Another share of the same folder that goes on from what this one keeps. */
static struct share *go_on(struct share *share, struct share_config config)
{
    struct buf kept = {0};
    struct share *other;

    if (share_check_keepable(share, NULL) < 0)
        return share;
    share_save(share, &kept);
    config.folder = fcntl(config.folder, F_DUPFD_CLOEXEC, 0);
    if (share_new(&config, &other, NULL) < 0 || share_load(other, kept.data, kept.length, NULL) < 0)
        abort();
    buf_free(&kept);
    share_begin(other);
    share_free(share);
    return other;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char request[4096];
    struct input input = {data, size};
    struct share *share;

    begin_process();
    uint64_t kind = take(&input, 1);
    struct share_config config = {make_folder(), kind % 8 == 7, (enum share_cache)(kind / 8 % 3)};
    int folder = fcntl(config.folder, F_DUPFD_CLOEXEC, 0);
    if (share_new(&config, &share, NULL) < 0)
        abort();
    start(share);
    for (int i = 0; i < REQUESTS_MAX && input.left; i++) {
        size_t length = compose(&input, request);
        uint64_t room = take(&input, 1);
        send_one(share, request, length, room < 220 ? 4096 : room < 230 ? 1 << 20 : room - 230);
        config.folder = folder;
        if (room % 16 == 15)
            share = go_on(share, config);
    }
    share_free(share);
    close(folder);
    return 0;
}
