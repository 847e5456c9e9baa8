/* Disk limits on a loop device, whose file lies in a directory of the test's own. */
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"
#include "test.h"

#define DISK ((off_t)32 << 20)
#define BLOCK ((size_t)64 << 10)

/* A loop device over a file that is gone as soon as the device is. */
struct disk {
    char dir[64], path[80];
    unsigned major, minor;
    int fd;
};

/* A node of its own, made with the numbers that the kernel tells: a rig may lack /dev. */
static int attach_loop(struct disk *disk, int file)
{
    char node[80];
    struct stat st;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

    for (int tries = 0; tries < 50; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            break;
        snprintf(node, sizeof(node), "/dev/loop%d", number);
        if (stat(node, &st) < 0)
            mknod(node, S_IFBLK | 0600, makedev(7, (unsigned)number));
        int fd = open(node, O_RDWR | O_CLOEXEC | O_EXCL);
        if (fd >= 0 && ioctl(fd, LOOP_SET_FD, file) == 0) {
            struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO};
            ioctl(fd, LOOP_SET_STATUS64, &info);
            fstat(fd, &st);
            disk->major = major(st.st_rdev);
            disk->minor = minor(st.st_rdev);
            snprintf(disk->path, sizeof(disk->path), "%s", node);
            close(control);
            return fd;
        }
        if (fd >= 0)
            close(fd); /* another took it meanwhile */
    }
    if (control >= 0)
        close(control);
    return -1;
}

static bool make_disk(struct disk *disk)
{
    char file[80];

    *disk = (struct disk){.dir = "/tmp/vivtest-disk-XXXXXX", .fd = -1};
    if (!mkdtemp(disk->dir))
        return false;
    snprintf(file, sizeof(file), "%s/disk", disk->dir);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && posix_fallocate(fd, 0, DISK) == 0)
        disk->fd = attach_loop(disk, fd);
    close(fd);
    unlink(file);
    rmdir(disk->dir);
    return disk->fd >= 0;
}

struct job {
    struct disk *disk;
    bool write;
    size_t size, count;
};

static void do_io(void *data)
{
    const struct job *job = data;
    void *block;
    int fd = open(job->disk->path, O_RDWR | O_DIRECT | O_CLOEXEC);

    if (fd < 0 || posix_memalign(&block, 4096, job->size) != 0)
        _exit(1);
    memset(block, 1, job->size);
    for (size_t i = 0; i < job->count; i++) {
        off_t at = (off_t)(i * job->size) % DISK;
        ssize_t done =
                job->write ? pwrite(fd, block, job->size, at) : pread(fd, block, job->size, at);
        if (done != (ssize_t)job->size)
            _exit(2);
    }
}

static double seconds_of(struct sandbox *box, struct job *job)
{
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    if (sandbox_start(box, do_io, job) < 0 || sandbox_wait(box) != 0)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

/* `limit` per second, twice as much to do and a little over: it takes at least a second and a half,
 * however fast the machine; without the limit it is done in a small part of that. */
static void check_throttle(cgroup_throttle_list *(*of)(struct cgroup_blkio *), bool write,
        size_t size, size_t count, uint64_t limit, const char *file, const char *key)
{
    struct disk disk;
    struct sandbox box;
    struct cgroup_stats stats;
    char expected[64];

    CHECK(make_disk(&disk));
    struct job job = {&disk, write, size, count};
    struct cgroup_throttle throttle = {disk.major, disk.minor, limit};
    sandbox_init(&box);
    of(&box.limits.blkio)->items = &throttle;
    of(&box.limits.blkio)->count = 1;
    double limited = seconds_of(&box, &job);
    bool v2 = sandbox_is_v2(&box, CGROUP_BLKIO);
    snprintf(expected, sizeof(expected), v2 ? "%s=%llu" : "%.0s%llu", key,
            (unsigned long long)limit);
    CHECK(strstr(sandbox_read(&box, CGROUP_BLKIO, file, "io.max"), expected));
    CHECK_INT(cgroup_stats_read(&box.result.saved, &box.arena, &stats, &box.err), 0);
    uint64_t operations = 0;
    for (size_t i = 0; i < stats.io.count; i++)
        if (stats.io.items[i].major == disk.major && stats.io.items[i].minor == disk.minor)
            operations = write ? stats.io.items[i].write_ops : stats.io.items[i].read_ops;
    CHECK(operations >= count);
    CHECK_INT(sandbox_end(&box), 0);
    double free_run = limited; /* more only while others use the disk too: not for ever */
    for (int tries = 0; tries < 20 && free_run >= limited * 0.75; tries++) {
        sandbox_init(&box);
        free_run = seconds_of(&box, &job);
        CHECK_INT(sandbox_end(&box), 0);
    }
    close(disk.fd);
    CHECK(limited > 1.2 && free_run >= 0);
    CHECK(free_run < limited * 0.75);
}

#define LIST(name_)                                                                                \
    static cgroup_throttle_list *name_##_list(struct cgroup_blkio *blkio)                          \
    {                                                                                              \
        return &blkio->name_;                                                                      \
    }
LIST(read_bps)
LIST(write_bps)
LIST(read_iops)
LIST(write_iops)

TEST(io_read_bytes_are_throttled)
{
    check_throttle(
            read_bps_list, false, BLOCK, 34, 1 << 20, "blkio.throttle.read_bps_device", "rbps");
}

TEST(io_write_bytes_are_throttled)
{
    check_throttle(
            write_bps_list, true, BLOCK, 34, 1 << 20, "blkio.throttle.write_bps_device", "wbps");
}

TEST(io_read_operations_are_throttled)
{
    check_throttle(read_iops_list, false, 4096, 42, 20, "blkio.throttle.read_iops_device", "riops");
}

TEST(io_write_operations_are_throttled)
{
    check_throttle(
            write_iops_list, true, 4096, 42, 20, "blkio.throttle.write_iops_device", "wiops");
}

static void nothing(void *data)
{
    (void)data;
}

TEST(io_weight_is_read_back)
{
    struct sandbox box;

    sandbox_init(&box);
    box.limits.blkio.weight = (struct opt_u64){true, 500};
    int r = sandbox_start(&box, nothing, NULL);
    if (r < 0) { /* neither BFQ nor io.cost in this kernel: told, and nothing left */
        CHECK_INT(r, -ENOENT);
        CHECK(strstr(box.err.text, "/linux/resources/blockIO/weight"));
        CHECK(strstr(box.err.text, "this kernel does not have it"));
        CHECK(sandbox_is_gone(&box));
        arena_free(&box.arena);
        return;
    }
    const char *bfq = arena_strdup(
            &box.arena, sandbox_read(&box, CGROUP_BLKIO, "blkio.bfq.weight", "io.bfq.weight"));
    const char *other =
            arena_strdup(&box.arena, sandbox_read(&box, CGROUP_BLKIO, "blkio.weight", "io.weight"));
    CHECK(str_ends(bfq, "500") || str_ends(other, "500") || str_ends(other, "4950"));
    CHECK_INT(sandbox_wait(&box), 0);
    CHECK_INT(sandbox_end(&box), 0);
}

/* A weight for one device is taken by BFQ (or io.cost) when the device runs under it. */
TEST(io_weight_of_a_device_is_read_back_or_refused_by_the_kernel)
{
    struct disk disk;
    struct sandbox box;
    char file[96], expected[64];

    CHECK(make_disk(&disk));
    snprintf(file, sizeof(file), "/sys/dev/block/%u:%u/queue/scheduler", disk.major, disk.minor);
    int scheduler = open(file, O_WRONLY | O_CLOEXEC);
    bool bfq = scheduler >= 0 && write(scheduler, "bfq", 3) == 3;
    close(scheduler);
    struct cgroup_weight_device weight = {disk.major, disk.minor, {true, 300}, {0}};
    sandbox_init(&box);
    box.limits.blkio.weight_devices.items = &weight;
    box.limits.blkio.weight_devices.count = 1;
    int r = sandbox_start(&box, nothing, NULL);
    snprintf(expected, sizeof(expected), "%u:%u 300", disk.major, disk.minor);
    bool kept = strstr(
            sandbox_read(&box, CGROUP_BLKIO, "blkio.bfq.weight_device", "io.bfq.weight"), expected);
    sandbox_wait(&box);
    CHECK_INT(sandbox_end(&box), 0);
    close(disk.fd);
    CHECK(bfq ? r == 0 && kept : r < 0 || kept || r == 0);
}

TEST(io_limits_of_a_missing_device_are_told)
{
    struct sandbox box;
    struct cgroup_throttle throttle = {240, 250, 1000};

    sandbox_init(&box);
    box.limits.blkio.read_bps.items = &throttle;
    box.limits.blkio.read_bps.count = 1;
    CHECK_INT(sandbox_start(&box, nothing, NULL), -ENODEV);
    CHECK(strstr(box.err.text, "/linux/resources/blockIO/throttleReadBpsDevice/0"));
    CHECK(strstr(box.err.text, "there is no such device"));
    CHECK(sandbox_is_gone(&box));
    arena_free(&box.arena);
}

TEST_MAIN()
