#include "cgroup/layout.h"

#include <sys/sysmacros.h>

#include "base/str.h"
#include "test.h"

static const char hybrid_mounts[] =
        "23 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:2 - cgroup cgroup "
        "rw,cpu,cpuacct\n"
        "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,name=systemd\n"
        "35 31 0:32 / /sys/fs/cgroup/with\\040blank rw - cgroup cgroup rw,pids\n"
        "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
static const char hybrid_self[] = "5:pids:/\n4:name=systemd:/init.scope\n3:memory:/a/b\n"
                                  "2:cpu,cpuacct:/a\n0::/u\n";

static const char *hugetlb_only(struct arena *arena, const char *mount)
{
    (void)arena, (void)mount;
    return "hugetlb";
}

static const char *all_of_v2(struct arena *arena, const char *mount)
{
    (void)arena, (void)mount;
    return "cpuset cpu io memory hugetlb pids rdma misc";
}

static struct cgroup_layout parse(struct arena *arena, const char *mounts, const char *self,
        bool (*check)(const char *, bool, dev_t))
{
    struct cgroup_layout_source source = {mounts, self, check, hugetlb_only};
    struct cgroup_layout layout;

    cgroup_layout_parse(arena, &source, &layout);
    return layout;
}

TEST(layout_of_a_hybrid_host)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout = parse(&arena, hybrid_mounts, hybrid_self, NULL);

    CHECK_STR(cgroup_layout_kind(&layout), "hybrid");
    CHECK_INT(layout.count, 5);
    CHECK_STR(layout.items[0].names, "cpu,cpuacct");
    CHECK_STR(layout.items[0].self, "/a");
    CHECK_STR(layout.items[1].self, "/a/b");
    CHECK_STR(layout.items[2].names, "name=systemd");
    CHECK_STR(layout.items[2].self, "/init.scope");
    CHECK_STR(layout.items[3].mount, "/sys/fs/cgroup/with blank");
    CHECK_STR(layout.items[4].self, "/u");
    CHECK(cgroup_layout_find(&layout, CGROUP_CPUACCT) == &layout.items[0]);
    CHECK(cgroup_layout_find(&layout, CGROUP_HUGETLB) == &layout.items[4]);
    CHECK(!cgroup_layout_find(&layout, CGROUP_BLKIO));
    CHECK(cgroup_layout_find(&layout, CGROUP_FREEZER)->unified);
}

TEST(layout_of_a_v2_host_in_a_scope)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout;
    struct cgroup_layout_source source = {
            "25 20 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/user.slice/user-1000.slice/session-2.scope\n", NULL, all_of_v2};

    cgroup_layout_parse(&arena, &source, &layout);
    CHECK_STR(cgroup_layout_kind(&layout), "v2");
    CHECK_STR(layout.items[0].self, "/user.slice/user-1000.slice/session-2.scope");
    CHECK(cgroup_layout_find(&layout, CGROUP_BLKIO) == &layout.items[0]);
    CHECK(!cgroup_layout_find(&layout, CGROUP_NET_CLS));
}

/* A container without a cgroup namespace: its own group is what is mounted. */
TEST(layout_of_a_mounted_part)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout = parse(&arena,
            "50 40 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "3:memory:/docker/abc/inner\n", NULL);

    CHECK_STR(cgroup_layout_kind(&layout), "v1");
    CHECK_STR(layout.items[0].root, "/docker/abc");
    CHECK_STR(layout.items[0].self, "/inner");
    layout = parse(&arena,
            "50 40 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "3:memory:/docker/abcdef\n", NULL);
    CHECK(!layout.items[0].self);
    layout = parse(&arena, "50 40 0:30 /../.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "3:memory:/../../x\n", NULL);
    CHECK(!layout.items[0].self);
}

/* A folder named as a controller, with a fake tasks file, is no mount; nor is what others cover. */
static bool only_memory(const char *path, bool unified, dev_t device)
{
    return !unified && str_ends(path, "/memory") && device == makedev(0, 30);
}

TEST(layout_believes_no_names)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout = parse(&arena, hybrid_mounts, hybrid_self, only_memory);

    CHECK_INT(layout.count, 1);
    CHECK_STR(layout.items[0].names, "memory");
    layout = parse(&arena, "31 23 0:28 / /sys/fs/cgroup/net_cls rw - tmpfs tmpfs rw\n", "", NULL);
    CHECK_INT(layout.count, 0);
    CHECK_STR(cgroup_layout_kind(&layout), "none");
}

TEST(layout_takes_the_mount_that_shows_ourselves)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout = parse(&arena,
            "50 40 0:30 /other /one rw - cgroup cgroup rw,memory\n"
            "51 40 0:30 / /two rw - cgroup cgroup rw,memory\n"
            "52 40 0:30 / /three rw - cgroup cgroup rw,memory\n",
            "3:memory:/us\n", NULL);

    CHECK_INT(layout.count, 1);
    CHECK_STR(layout.items[0].mount, "/two");
    CHECK_STR(layout.items[0].self, "/us");
}

TEST(layout_survives_what_is_no_mountinfo)
{
    _cleanup_arena_ struct arena arena = {0};
    static const char *const texts[] = {"", " - cgroup", "1 2 3 - cgroup2 x y\n",
            "1 2 0:3 / relative rw - cgroup2 x rw\n", "\n\n - cgroup - cgroup - cgroup\n",
            "1 2 0:3 / /x rw - cgroup2\n", "1 2 0:3 / /x\\0 rw - cgroup c rw,cpu"};

    for (size_t i = 0; i < 7; i++) {
        struct cgroup_layout layout = parse(&arena, texts[i], "::::\n0:\n:", NULL);
        CHECK(layout.count <= 1);
    }
}

TEST(layout_detects_this_host)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout;
    struct error err = ERROR_NONE;

    CHECK_INT(cgroup_layout_detect(&arena, &layout, &err), 0);
    cgroup_layout_guest(&arena, &layout);
    CHECK_STR(cgroup_layout_kind(&layout), "v2");
}

TEST_MAIN()
