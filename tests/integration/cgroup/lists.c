/* pids, devices, hugetlb, rdma, misc and files of v2 by name: set, read back, and biting. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "sandbox.h"
#include "sys/bpf.h"
#include "test.h"

/* Exit status: how many children it could have at once, up to 100; 255 for another error. */
static void fork_many(void *data)
{
    (void)data;
    for (int count = 0; count < 100; count++) {
        pid_t pid = fork();
        if (pid == 0)
            pause();
        if (pid < 0)
            _exit(errno == EAGAIN ? count : 255);
    }
    _exit(100);
}

TEST(pids_limit_ends_in_eagain)
{
    struct sandbox box;
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_stats stats;

    sandbox_init(&box);
    box.limits.pids = (struct opt_i64){true, 7};
    CHECK_INT(sandbox_start(&box, fork_many, NULL), 0);
    CHECK_INT(WEXITSTATUS(sandbox_wait(&box)), 6);
    CHECK_STR(sandbox_read(&box, CGROUP_PIDS, "pids.max", "pids.max"), "7");
    CHECK_INT(cgroup_stats_read(&box.result.saved, &arena, &stats, &box.err), 0);
    CHECK_INT(stats.pids.value, 6);
    CHECK_INT(stats.pids_limit.value, 7);
    CHECK_INT(stats.pids_refused.value, 1);
    struct cgroup_pids pids;
    CHECK_INT(cgroup_list(&box.result.saved, &arena, &pids, &box.err), 0);
    CHECK_INT(pids.count, 6);
    CHECK_INT(sandbox_end(&box), 0); /* the six are killed by it */
}

TEST(pids_limit_is_lifted_by_an_update)
{
    struct sandbox box;
    struct cgroup_limits more = {.pids = {true, -1}};

    sandbox_init(&box);
    box.limits.pids = (struct opt_i64){true, 1};
    CHECK_INT(sandbox_start(&box, fork_many, NULL), 0);
    CHECK_INT(WEXITSTATUS(sandbox_wait(&box)), 0);
    CHECK_INT(cgroup_update(&box.result.saved, &more, "", &box.err), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_PIDS, "pids.max", "pids.max"), "max");
    CHECK_INT(sandbox_end(&box), 0);
}

/* One bit for each thing that can be done: null r, null w, zero r, urandom r, mknod block. */
static unsigned devices_now(void)
{
    unsigned found = 0;
    char name[64];
    struct {
        unsigned major, minor;
        int flags;
    } tries[] = {{1, 3, O_RDONLY}, {1, 3, O_WRONLY}, {1, 5, O_RDONLY}, {1, 9, O_RDONLY}};

    for (unsigned i = 0; i < 4; i++) {
        /* nodes of our own, made before the rules came */
        snprintf(name, sizeof(name), "node-%u-%u", tries[i].major, tries[i].minor);
        int fd = open(name, tries[i].flags);
        if (fd >= 0)
            found |= 1U << i;
        else if (errno != EPERM)
            found |= 128;
        if (fd >= 0)
            close(fd);
    }
    if (mknod("node-new", S_IFBLK | 0600, makedev(7, 77)) == 0)
        found |= 16;
    unlink("node-new");
    return found;
}

static void tell_devices(void *data)
{
    (void)data;
    _exit((int)devices_now());
}

/* Below /dev, since other places may be mounted without devices. */
static void make_nodes(char *dir)
{
    if (!mkdtemp(dir) || chdir(dir) < 0 || mknod("node-1-3", S_IFCHR | 0666, makedev(1, 3)) < 0 ||
            mknod("node-1-5", S_IFCHR | 0666, makedev(1, 5)) < 0 ||
            mknod("node-1-9", S_IFCHR | 0666, makedev(1, 9)) < 0)
        fprintf(stderr, "cannot make device nodes in %s\n", dir);
}

static void remove_nodes(const char *dir)
{
    if (chdir("/") == 0)
        io_remove_tree_at(AT_FDCWD, dir);
}

static unsigned joined_devices(struct sandbox *box)
{
    int status = 0;
    pid_t pid = sandbox_join(box, tell_devices, NULL);

    if (pid > 0)
        waitpid(pid, &status, 0);
    return pid > 0 ? (unsigned)WEXITSTATUS(status) : 512;
}

static void stay(void *data)
{
    (void)data;
    for (;;)
        pause();
}

#define ANYTHING(allow_)                                                                           \
    {                                                                                              \
        allow_, 'a', {0}, {0}, NULL                                                                \
    }
#define CHAR(allow_, minor_, access_)                                                              \
    {                                                                                              \
        allow_, 'c', {true, 1}, {true, minor_}, access_                                            \
    }

static void check_devices(struct sandbox *box)
{
    struct cgroup_device_rule first[] = {
            ANYTHING(false), CHAR(true, 3, "rw"), CHAR(true, 5, "rwm")};
    struct cgroup_device_rule second[] = {ANYTHING(false), CHAR(true, 3, "r"), CHAR(true, 9, NULL)};
    struct cgroup_device_rule third[] = {ANYTHING(true), CHAR(false, 3, "w")};
    struct cgroup_limits update = {0};

    box->limits.devices.items = first;
    box->limits.devices.count = 3;
    CHECK_INT(sandbox_start(box, stay, NULL), 0);
    CHECK_INT(joined_devices(box), 1 | 2 | 4);
    if (!sandbox_is_v2(box, CGROUP_DEVICES))
        CHECK_STR(sandbox_read(box, CGROUP_DEVICES, "devices.list", NULL), "c 1:3 rw\nc 1:5 rwm");
    update.devices.items = second;
    update.devices.count = 3;
    CHECK_INT(cgroup_update(&box->result.saved, &update, "", &box->err), 0);
    CHECK_INT(joined_devices(box), 1 | 8);
    update.devices.items = third;
    update.devices.count = 2;
    CHECK_INT(cgroup_update(&box->result.saved, &update, "", &box->err), 0);
    CHECK_INT(joined_devices(box), 1 | 4 | 8 | 16);
}

TEST(devices_outside_the_rules_are_eperm)
{
    struct sandbox box;
    char dir[] = "/dev/vivtest-devices-XXXXXX";

    make_nodes(dir);
    sandbox_init(&box);
    check_devices(&box);
    remove_nodes(dir);
    CHECK_INT(sandbox_end(&box), 0);
}

/* On a hybrid host the program of v2 is tried as well: the v1 lists are hidden from the plan. */
TEST(devices_by_program_on_any_v2)
{
    struct sandbox box;
    char dir[] = "/dev/vivtest-devices-XXXXXX";

    make_nodes(dir);
    sandbox_init(&box);
    bool has_v2 = cgroup_layout_unified(&box.layout);
    for (size_t i = 0; i < box.layout.count; i++)
        if (!box.layout.items[i].unified)
            box.layout.items[i].controllers &= ~(1U << CGROUP_DEVICES);
    for (size_t i = 0; i < box.layout.count; i++)
        if (str_equal(box.layout.items[i].names, "devices"))
            box.layout.items[i].names = "name=hidden";
    if (has_v2)
        check_devices(&box);
    remove_nodes(dir);
    CHECK_INT(sandbox_end(&box), 0);
}

static const char *const controls[] = {"/sys/kernel/mm/hugepages/hugepages-2048kB",
        "/sys/fs/cgroup/unified/cgroup.subtree_control"};

/* Exit status: how many huge pages of 2 MiB it could reserve and touch, up to 8. */
static void take_huge_pages(void *data)
{
    (void)data;
    for (int count = 0; count < 8; count++) {
        char *page = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (page == MAP_FAILED)
            _exit(errno == ENOMEM ? count : 255);
        page[0] = 1;
    }
    _exit(8);
}

TEST(hugetlb_limit_ends_in_enomem)
{
    struct sandbox box;
    struct cgroup_hugetlb limit = {"2MB", 6 << 20};
    struct cgroup_stats stats;
    char before[64], enabled[256];
    char file[] = "nr_overcommit_hugepages";

    sandbox_init(&box);
    if (!sandbox_has(&box, CGROUP_HUGETLB)) { /* v2 is hidden from this run; another one has it */
        arena_free(&box.arena);
        return;
    }
    const struct cgroup_hierarchy *unified = cgroup_layout_unified(&box.layout);
    const char *subtree =
            unified ? arena_printf(&box.arena, "%s/cgroup.subtree_control", unified->mount)
                    : controls[1];
    int dir = open(controls[0], O_PATH | O_DIRECTORY);
    CHECK(io_read_small_at(dir, file, before, sizeof(before)) > 0);
    io_read_small_at(AT_FDCWD, subtree, enabled, sizeof(enabled));
    io_write_file_at(dir, file, "64");
    box.limits.hugetlb.items = &limit;
    box.limits.hugetlb.count = 1;
    int r = sandbox_start(&box, take_huge_pages, NULL);
    int status = sandbox_wait(&box);
    const char *kept = arena_strdup(&box.arena,
            sandbox_read(&box, CGROUP_HUGETLB, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"));
    const char *reserved = arena_strdup(
            &box.arena, sandbox_read(&box, CGROUP_HUGETLB, "hugetlb.2MB.rsvd.limit_in_bytes",
                                "hugetlb.2MB.rsvd.max"));
    cgroup_stats_read(&box.result.saved, &box.arena, &stats, &box.err);
    bool counted = stats.hugetlb.count > 0;
    io_write_file_at(dir, file, before);
    close(dir);
    int ended = cgroup_remove(&box.result.saved, 10000, &box.err);
    if (sandbox_is_v2(&box, CGROUP_HUGETLB) && !strstr(enabled, "hugetlb"))
        io_write_file_at(AT_FDCWD, subtree, "-hugetlb");
    CHECK_INT(r, 0);
    CHECK_INT(WEXITSTATUS(status), 3);
    CHECK_STR(kept, "6291456");
    CHECK_STR(reserved, "6291456");
    CHECK(counted);
    CHECK_INT(ended, 0);
    arena_free(&box.arena);
}

TEST(hugetlb_page_size_is_no_path)
{
    struct sandbox box;
    struct cgroup_hugetlb limit = {"../../x", 1};

    sandbox_init(&box);
    if (!sandbox_has(&box, CGROUP_HUGETLB)) {
        arena_free(&box.arena);
        return;
    }
    box.limits.hugetlb.items = &limit;
    box.limits.hugetlb.count = 1;
    CHECK_INT(sandbox_plan(&box), -EINVAL);
    arena_free(&box.arena);
}

/* A kernel with the controller refuses a device that is not there; one without it is told so. */
TEST(rdma_and_misc_reach_the_kernel)
{
    struct cgroup_rdma device = {"vivtest0", {true, 2}, {true, 2000}};
    struct record_pair resource = {"misc.max", "vivtest 3"};

    for (int i = 0; i < 2; i++) {
        struct sandbox box;
        sandbox_init(&box);
        box.limits.rdma.items = &device;
        box.limits.rdma.count = i == 0;
        box.limits.unified.items = &resource;
        box.limits.unified.count = i == 1;
        bool has = sandbox_has(&box, i ? CGROUP_MISC : CGROUP_RDMA);
        int r = sandbox_start(&box, stay, NULL);
        CHECK(r < 0);
        CHECK(strstr(box.err.text,
                i ? "/linux/resources/unified/misc.max" : "/linux/resources/rdma/vivtest0"));
        if (has)
            CHECK(strstr(box.err.text,
                    i ? "write \"vivtest 3\"" : "write \"vivtest0 hca_handle=2 hca_object=2000\""));
        else
            CHECK_INT(r, -EOPNOTSUPP);
        CHECK(sandbox_is_gone(&box));
        arena_free(&box.arena);
    }
}

TEST(unified_files_are_set_by_name)
{
    struct sandbox box;
    struct record_pair pairs[] = {{"cgroup.max.descendants", "3"}, {"cgroup.max.depth", "2"}};

    sandbox_init(&box);
    box.limits.unified.items = pairs;
    box.limits.unified.count = 2;
    if (!cgroup_layout_unified(&box.layout)) {
        CHECK_INT(sandbox_plan(&box), -EOPNOTSUPP);
        CHECK(strstr(box.err.text, "/linux/resources/unified/cgroup.max.descendants: this host"));
        arena_free(&box.arena);
        return;
    }
    CHECK_INT(sandbox_start(&box, stay, NULL), 0);
    CHECK_STR(sandbox_read(&box, CGROUP_CONTROLLERS, NULL, "cgroup.max.descendants"), "3");
    CHECK_STR(sandbox_read(&box, CGROUP_CONTROLLERS, NULL, "cgroup.max.depth"), "2");
    for (int i = 0; i < 4; i++) /* the fourth is one too many */
        CHECK_INT(mkdir(arena_printf(&box.arena, "%s/%d", box.result.saved.unified, i), 0755),
                i < 3 ? 0 : -1);
    CHECK_INT(sandbox_end(&box), 0);
}

TEST(unified_keys_are_no_paths)
{
    struct sandbox box;
    struct record_pair pair = {"../cgroup.procs", "0"};

    sandbox_init(&box);
    box.limits.unified.items = &pair;
    box.limits.unified.count = 1;
    CHECK_INT(sandbox_plan(&box), -EINVAL);
    arena_free(&box.arena);
}

TEST_MAIN()
