#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vm/disk/disk.h"

#include "test.h"

/* QEMU's qemu-img makes the images and is the oracle of what was written to them. */

#define DISK_SIZE (24u << 20)
#define OPERATIONS 400

static char folder[64];
static uint8_t *model; /* what the disk should hold */
static uint32_t seed;
static unsigned past_disk; /* transfers that a ring could make */

static bool shell(const char *format, ...)
{
    char command[1024];
    va_list args;

    int n = snprintf(command, sizeof(command), "cd %s && ", folder);
    va_start(args, format);
    vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
    va_end(args);
    return system(command) == 0;
}

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)seed * limit) >> 32);
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/viv-qcow2-%d", (int)getpid());
    io_make_dirs_at(AT_FDCWD, folder, 0700);
    model = calloc(1, DISK_SIZE);
    seed = 1;
}

static void tear_down(void)
{
    io_remove_tree_at(AT_FDCWD, folder);
    free(model);
    model = NULL;
}

static int open_image(const char *name, bool read_only, struct disk **ret, struct error *err)
{
    char path[128];
    struct disk_config config = {.file = {-1, path}, .read_only = read_only};

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return disk_open(&config, ret, err);
}

/* A base image with something in it, in the model too. */
static bool make_base(void)
{
    char path[128];

    for (uint32_t at = 0; at < DISK_SIZE / 2; at += 4)
        memcpy(model + at, &(uint32_t){at * 2654435761u >> (at & 0x40000 ? 24 : 0)}, 4);
    snprintf(path, sizeof(path), "%s/base.raw", folder);
    _cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0 && io_write_all(fd, model, DISK_SIZE) == 0;
}

/* As a ring would: past the disk where it says that this can be. */
static bool write_pieces(struct disk *disk, uint64_t at, const struct iovec iov[2])
{
    for (int i = 0; i < 2; at += iov[i].iov_len, i++) {
        struct disk_place place;
        bool located = disk->ops->locate(disk, at, iov[i].iov_len, true, &place);
        past_disk += located;
        if (located ? pwritev(place.fd, &iov[i], 1, (off_t)place.offset) != (ssize_t)iov[i].iov_len
                    : disk->ops->write(disk, at, &iov[i], 1) != 0)
            return false;
    }
    return true;
}

static bool found_past_disk(struct disk *disk, uint64_t at, size_t length)
{
    static uint8_t found[300 * 512];
    struct disk_place place;

    if (!disk->ops->locate(disk, at, length, false, &place))
        return true;
    past_disk++;
    return pread(place.fd, found, length, (off_t)place.offset) == (ssize_t)length &&
           !memcmp(found, model + at, length);
}

static bool one_operation(struct disk *disk, int i)
{
    static uint8_t data[300 * 512], found[300 * 512];
    uint32_t sectors = 1 + random_below(random_below(4) ? 20 : 299);
    uint64_t at = (uint64_t)random_below(DISK_SIZE / 512 - sectors) * 512;
    size_t length = sectors * 512u, half = (sectors / 2) * 512u;
    struct iovec iov[2] = {{data, half}, {data + half, length - half}};
    uint32_t kind = random_below(20);

    if (kind < 9) {
        for (size_t b = 0; b < length; b++)
            data[b] = (uint8_t)random_below(256);
        memcpy(model + at, data, length);
        return write_pieces(disk, at, iov);
    }
    if (kind == 9) {
        memset(model + at, 0, length);
        return disk->ops->clear(disk, at, length, i % 2 ? DISK_ZERO : DISK_ZERO_KEEP) == 0;
    }
    if (kind == 10)
        return disk->ops->flush(disk) == 0;
    struct iovec into[2] = {{found, half}, {found + half, length - half}};
    return disk->ops->read(disk, at, into, 2) == 0 && !memcmp(found, model + at, length) &&
           found_past_disk(disk, at, length);
}

/* Random work on an image; afterwards QEMU finds it in order, and in it what the model has. */
static bool exercise(const char *name)
{
    struct disk *disk;
    struct error err = ERROR_NONE;

    if (open_image(name, false, &disk, &err) < 0) {
        test_report(__FILE__, __LINE__, "%s: %s", name, err.text);
        return false;
    }
    for (int i = 0; i < OPERATIONS; i++)
        if (!one_operation(disk, i)) {
            test_report(__FILE__, __LINE__, "%s: operation %d", name, i);
            disk_close(disk);
            return false;
        }
    disk_close(disk);

    char path[128];
    snprintf(path, sizeof(path), "%s/model.raw", folder);
    _cleanup_close_ int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0 && io_write_all(fd, model, DISK_SIZE) == 0 &&
           shell("qemu-img check -q %s >/dev/null 2>&1 || [ $? = 3 ]", name) && /* 3: only leaks */
           shell("qemu-img compare -q %s model.raw", name);
}

static const struct {
    const char *name;
    const char *make; /* with base.raw beside */
} images[] = {
        {"plain", "qemu-img create -q -f qcow2 t.qcow2 24M"},
        {"version 2", "qemu-img create -q -f qcow2 -o compat=0.10 t.qcow2 24M"},
        {"small clusters", "qemu-img create -q -f qcow2 -o cluster_size=512 t.qcow2 24M"},
        {"large clusters", "qemu-img create -q -f qcow2 -o cluster_size=2M t.qcow2 24M"},
        {"narrow counts", "qemu-img create -q -f qcow2 -o refcount_bits=1 t.qcow2 24M"},
        {"wide counts", "qemu-img create -q -f qcow2 -o refcount_bits=64 t.qcow2 24M"},
        {"preallocated", "qemu-img create -q -f qcow2 -o preallocation=metadata t.qcow2 24M"},
        {"converted", "qemu-img convert -O qcow2 base.raw t.qcow2"},
        {"compressed", "qemu-img convert -c -O qcow2 base.raw t.qcow2"},
        {"zstd", "qemu-img convert -c -O qcow2 -o compression_type=zstd base.raw t.qcow2"},
        {"backing", "qemu-img create -q -f qcow2 -F raw -b base.raw t.qcow2"},
        {"shorter backing", "qemu-img create -q -f qcow2 -F raw -b short.raw t.qcow2 24M"},
        {"chain", "qemu-img create -q -f qcow2 -F raw -b base.raw a.qcow2 && qemu-img create -q -f "
                  "qcow2 -F qcow2 -b a.qcow2 t.qcow2"},
};

TEST(qcow2_agrees_with_qemu)
{
    if (system("command -v qemu-img >/dev/null") != 0)
        SKIP("qemu-img is not installed (qemu-utils)");
    for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
        set_up();
        past_disk = 0;
        bool has_base = strstr(images[i].make, "base.raw"),
             is_short = strstr(images[i].make, "short");
        bool ok = make_base();
        if (is_short) {
            ok = ok && shell("head -c 5000192 base.raw > short.raw");
            memset(model + 5000192, 0, DISK_SIZE - 5000192);
        } else if (!has_base) {
            memset(model, 0, DISK_SIZE);
        }
        ok = ok && shell("%s", images[i].make) && exercise("t.qcow2");
        tear_down();
        if (!ok || past_disk < 10) {
            test_report(__FILE__, __LINE__, "%s, %u past the disk", images[i].name, past_disk);
            return;
        }
    }
}

/* What was flushed is there for somebody who opens the file without the writer having closed it. */
TEST(qcow2_flush_survives_a_kill)
{
    uint8_t data[512], found[512] = {0};
    struct disk *disk;
    int status = 0;

    if (system("command -v qemu-img >/dev/null") != 0)
        SKIP("qemu-img is not installed (qemu-utils)");
    set_up();
    memset(data, 0x5a, sizeof(data));
    CHECK(shell("qemu-img create -q -f qcow2 t.qcow2 24M"));
    pid_t pid = fork();
    if (pid == 0) {
        if (open_image("t.qcow2", false, &disk, NULL) < 0)
            _exit(1);
        if (disk->ops->write(disk, 1 << 20, &(struct iovec){data, 512}, 1) < 0 ||
                disk->ops->flush(disk) < 0 ||
                disk->ops->write(disk, 9 << 20, &(struct iovec){data, 512}, 1) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(shell("qemu-img check -q t.qcow2 >/dev/null 2>&1 || [ $? = 3 ]"));
    CHECK_INT(open_image("t.qcow2", true, &disk, NULL), 0);
    CHECK_INT(disk->ops->read(disk, 1 << 20, &(struct iovec){found, 512}, 1), 0);
    disk_close(disk);
    tear_down();
    CHECK(!memcmp(data, found, 512));
}

TEST(qcow2_damage_is_told)
{
    static const struct {
        const char *damage;
        const char *word;
    } cases[] = {
            {"printf x | dd of=t.qcow2 bs=1 seek=0 conv=notrunc status=none", NULL}, /* now raw */
            {"truncate -s 100 t.qcow2", "cut short"},
            {"printf '\\377' | dd of=t.qcow2 bs=1 seek=40 conv=notrunc status=none", "L1 table"},
            {"printf '\\377' | dd of=t.qcow2 bs=1 seek=23 conv=notrunc status=none",
                    "cluster size"},
            {"printf '\\377' | dd of=t.qcow2 bs=1 seek=48 conv=notrunc status=none", "reference"},
            {"printf '\\002' | dd of=t.qcow2 bs=1 seek=79 conv=notrunc status=none", "corrupt"},
            {"printf '\\020' | dd of=t.qcow2 bs=1 seek=79 conv=notrunc status=none", "features"},
            {"qemu-img snapshot -c s t.qcow2", "snapshots"},
    };

    if (system("command -v qemu-img >/dev/null") != 0)
        SKIP("qemu-img is not installed (qemu-utils)");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = ERROR_NONE;
        struct disk *disk = NULL;
        set_up();
        bool made = shell("qemu-img create -q -f qcow2 t.qcow2 24M && %s", cases[i].damage);
        int r = open_image("t.qcow2", false, &disk, &err);
        if (r == 0)
            disk_close(disk);
        tear_down();
        CHECK(made);
        if (cases[i].word ? r >= 0 || !strstr(err.text, cases[i].word) : r < 0) {
            test_report(__FILE__, __LINE__, "case %zu: %d %s", i, r, err.text);
            return;
        }
    }
}

TEST(disk_locks_keep_machines_apart)
{
    struct disk *first, *second;
    struct error err = ERROR_NONE;

    set_up();
    CHECK(shell("truncate -s 1M d.raw"));
    CHECK_INT(open_image("d.raw", false, &first, NULL), 0);
    CHECK_INT(open_image("d.raw", false, &second, &err), -EBUSY);
    CHECK(strstr(err.text, "another machine"));
    CHECK_INT(open_image("d.raw", true, &second, NULL), -EBUSY);
    disk_close(first);
    CHECK_INT(open_image("d.raw", true, &first, NULL), 0);
    CHECK_INT(open_image("d.raw", true, &second, NULL), 0);
    disk_close(first);
    disk_close(second);
    CHECK_INT(open_image("missing", false, &first, &err), -ENOENT);
    tear_down();
}

TEST_MAIN()
