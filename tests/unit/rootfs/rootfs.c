/* Whole roots, built by plans and looked at from inside. */
#include "rootfs/rootfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "box.h"
#include "sys/door.h"
#include "sys/mount.h"
#include "sys/process.h"

static void list_root(void *data)
{
    _cleanup_closedir_ DIR *dir = opendir("/");
    struct dirent *entry;
    struct stat st = {0};

    (void)data;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            printf("%s ", entry->d_name);
    stat("/etc/hello", &st);
    printf("| %s %d | %s\n", inside_read("/etc/hello"), st.st_uid,
            close(open("/etc/made", O_CREAT | O_WRONLY, 0600)) ? "no" : "yes");
}

TEST(rootfs_is_all_there_is)
{
    struct box box;

    box_begin(&box);
    sandbox_file(&box.sandbox, "root/etc/hello", "world\n");
    CHECK_RUN(&box, list_root, NULL);
    CHECK(strstr(box.sandbox.output, "etc ") && strstr(box.sandbox.output, "proc "));
    CHECK(strstr(box.sandbox.output, "| world 0 | yes"));
    box_end(&box);
}

TEST(rootfs_idmapped_keeps_owners_on_disk)
{
    struct box box;
    struct stat st;
    char path[256];

    box_begin(&box);
    sandbox_file(&box.sandbox, "root/etc/hello", "world\n");
    box_userns(&box);
    CHECK_RUN(&box, list_root, NULL);
    CHECK(strstr(box.sandbox.output, "| world 0 | yes")); /* root inside owns it */
    snprintf(path, sizeof(path), "%s/etc/made", box.sandbox.root);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_uid, 0); /* and on disk it is root's, not 200000's */
    box_end(&box);
}

TEST(rootfs_readonly_root)
{
    struct box box;

    box_begin(&box);
    sandbox_file(&box.sandbox, "root/etc/hello", "world\n");
    box.rootfs.readonly = true;
    CHECK_RUN(&box, list_root, NULL);
    CHECK(strstr(box.sandbox.output, "| world 0 | no"));
    box_end(&box);
}

/* Every way in: what is left of the old tree, and whether the mounts are there. */
static void print_way(void *data)
{
    int mounts = 0;

    (void)data;
    for (const char *at = inside_read("/proc/self/mountinfo"); *at; at++)
        mounts += *at == '\n';
    printf("%d %d %s\n", mounts + 1, access("/mnt", F_OK) == 0, inside_read("/etc/hello"));
}

TEST(rootfs_every_way_in)
{
    static const enum rootfs_enter ways[] = {ROOTFS_PIVOT, ROOTFS_MOVE};

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct box box;
        box_begin(&box);
        sandbox_file(&box.sandbox, "root/etc/hello", "world\n");
        box.rootfs.enter = ways[i];
        CHECK_RUN(&box, print_way, NULL);
        CHECK(strstr(box.sandbox.output, " 0 world"));
        if (ways[i] == ROOTFS_PIVOT)
            CHECK_STR(box.sandbox.output, "2 0 world"); /* the root and /proc: nothing else */
        box_end(&box);
    }
}

static void print_hello(void *data)
{
    (void)data;
    printf("%s %d\n", inside_read("/etc/hello"), access("/mnt", F_OK) == 0);
}

TEST(rootfs_without_a_mount_namespace)
{
    struct box box;
    struct error err = ERROR_NONE;

    box_begin(&box);
    sandbox_file(&box.sandbox, "root/etc/hello", "world\n");
    box.sandbox.set.of[NS_MNT].mode = NS_HOST;
    box.rootfs.enter = ROOTFS_STAY;
    CHECK_INT(rootfs_add_open(&box.sandbox.plan, &box.rootfs, &err), -EINVAL);
    CHECK(strstr(err.text, "/mounts/0: the mount on /proc needs a mount namespace"));
    box.rootfs.mounts_count = 0;
    CHECK_RUN(&box, print_hello, NULL);
    CHECK_STR(box.sandbox.output, "world 0");
    box_end(&box);
}

/* Every attribute, on a new file system and on a bind. */
TEST(rootfs_mount_attributes)
{
    static const struct {
        const char *options, *expected;
    } cases[] = {
            {"", "rw,relatime"},
            {"ro", "ro,relatime"},
            {"nosuid,nodev,noexec", "rw,nosuid,nodev,noexec,relatime"},
            {"nosuid,suid", "rw,relatime"},
            {"noatime", "rw,noatime"},
            {"strictatime", "rw "},
            {"nodiratime", "rw,nodiratime,relatime"},
            {"noatime,relatime", "rw,relatime"},
            {"nosymfollow", "rw,relatime,nosymfollow"},
    };
    static const char *const types[] = {"tmpfs", "bind"};

    for (size_t i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
        struct box box;
        box_begin(&box);
        sandbox_file(&box.sandbox, "source/x", "y");
        box_mount(&box, "/there", types[i & 1],
                arena_printf(&box.sandbox.arena, "%s/source", box.sandbox.dir),
                cases[i / 2].options);
        CHECK_RUN(&box, box_show, (void *)(uintptr_t) "/there");
        const char *expected = cases[i / 2].expected;
        CHECK_STR(
                str_starts(box.sandbox.output, expected) ? expected : box.sandbox.output, expected);
        box_end(&box);
    }
}

static void show_data(void *data)
{
    struct stat st = {0};

    stat(data, &st);
    printf("%o %s\n", st.st_mode & 07777u, inside_mount(data));
}

TEST(rootfs_tmpfs_data_and_mode)
{
    struct box box;
    char path[256];

    box_begin(&box);
    box_mount(&box, "/a", "tmpfs", "shm", "size=64k,mode=1750,nosuid,sync");
    CHECK_RUN(&box, show_data, (void *)(uintptr_t) "/a");
    CHECK(str_starts(box.sandbox.output, "1750 rw,nosuid,relatime - tmpfs shm rw,sync"));
    CHECK(strstr(box.sandbox.output, "size=64k"));
    box_end(&box);
    box_begin(&box);
    snprintf(path, sizeof(path), "%s/b", box.sandbox.root);
    mkdir(path, 0700);
    box_mount(&box, "/b", "tmpfs", "tmpfs", "");
    CHECK_RUN(&box, show_data, (void *)(uintptr_t) "/b");
    CHECK(str_starts(box.sandbox.output, "700 ")); /* of the directory that it covers */
    box_end(&box);
}

TEST(rootfs_tells_what_the_file_system_says)
{
    struct box box;

    box_begin(&box);
    box_mount(&box, "/a", "tmpfs", "tmpfs", "size=many");
    CHECK(box_run(&box, box_show, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text, "/mounts/1"));
    CHECK(strstr(box.sandbox.err.text, "mount tmpfs on /a: set \"size=many\": EINVAL"));
    CHECK(strstr(box.sandbox.err.text, "the kernel says: tmpfs: Bad value for 'size'"));
    box_end(&box);
    box_begin(&box);
    box_mount(&box, "/a", "nosuchfs", "none", "");
    CHECK(box_run(&box, box_show, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text, "this kernel has no file system of that type"));
    box_end(&box);
    box_begin(&box);
    box_mount(&box, "/a", "bind", "/no/such/source", "rbind");
    CHECK(box_run(&box, box_show, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text, "open /no/such/source as the source of a mount: ENOENT"));
    box_end(&box);
}

/* Recursive attributes reach the mounts below, others do not. */
static void show_two(void *data)
{
    (void)data;
    printf("%.12s|", inside_mount("/there"));
    printf("%.12s\n", inside_mount("/there/sub"));
}

TEST(rootfs_recursive_attributes)
{
    static const struct {
        const char *options, *expected;
    } cases[] = {
            {"rbind,ro", "ro,relatime |rw,relatime "},
            {"rbind,rro", "ro,relatime |ro,relatime "},
            {"rbind,rro,rw", "rw,relatime |ro,relatime "},
            {"rbind", "rw,relatime |rw,relatime "},
            {"bind,ro", "ro,relatime |none"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct box box;
        char sub[128];
        box_begin(&box);
        snprintf(sub, sizeof(sub), "%s/source/sub", box.sandbox.dir);
        sandbox_file(&box.sandbox, "source/sub/x", "y");
        CHECK_INT(sys_mount("sub", sub, "tmpfs", 0, NULL), 0);
        box_mount(&box, "/there", "none",
                arena_printf(&box.sandbox.arena, "%s/source", box.sandbox.dir), cases[i].options);
        CHECK_RUN(&box, show_two, NULL);
        CHECK_STR(box.sandbox.output, cases[i].expected);
        box_end(&box);
    }
}

/* Propagation: the field in mountinfo, and what a mount made on the host afterwards does. */
struct modes {
    const char *root, *options, *field;
    bool reaches_inside;
};

static void wait_and_show(void *data)
{
    const int *pipes = data;
    char byte;

    printf("%s|", inside_mount("/there"));
    fflush(stdout);
    if (write(pipes[1], "x", 1) != 1 || read(pipes[2], &byte, 1) != 1)
        printf("?");
    printf("%d\n", access("/there/late/seen", F_OK) == 0);
}

/* The host's part, in a child of this process that shares its mount namespace. */
static pid_t mount_later(const char *dir, const int pipes[4])
{
    pid_t child = fork();
    char byte, path[128];

    if (child != 0)
        return child;
    close(pipes[1]);
    close(pipes[2]);
    snprintf(path, sizeof(path), "%s/source/late", dir);
    if (read(pipes[0], &byte, 1) == 1 && sys_mount("late", path, "tmpfs", 0, NULL) == 0) {
        snprintf(path, sizeof(path), "%s/source/late/seen", dir);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    _exit(write(pipes[3], "x", 1) != 1);
}

static void run_mode(const struct modes *mode)
{
    struct box box;
    int pipes[4];
    char source[128];

    box_begin(&box);
    snprintf(source, sizeof(source), "%s/source", box.sandbox.dir);
    sandbox_file(&box.sandbox, "source/late/x", "");
    CHECK_INT(sys_mount("src", source, "tmpfs", 0, NULL), 0);
    CHECK_INT(sys_mount(NULL, source, NULL, MS_SHARED, NULL), 0);
    sandbox_file(&box.sandbox, "source/late/x", "");
    CHECK_INT(pipe2(pipes, O_CLOEXEC) + pipe2(pipes + 2, O_CLOEXEC), 0);
    pid_t host = mount_later(box.sandbox.dir, pipes);
    box.rootfs.propagation = mode->root;
    box_mount(&box, "/there", "bind", source, mode->options);
    CHECK_RUN(&box, wait_and_show, pipes);
    for (int i = 0; i < 4; i++)
        close(pipes[i]);
    waitpid(host, NULL, 0);
    CHECK_STR(strstr(box.sandbox.output, mode->field) ? mode->field : box.sandbox.output,
            mode->field);
    CHECK_INT(str_ends(box.sandbox.output, "|1"), mode->reaches_inside);
    box_end(&box);
}

TEST(rootfs_propagation_modes)
{
    static const struct modes modes[] = {
            {NULL, "rbind", "relatime - tmpfs", false},
            {"rprivate", "rbind", "relatime - tmpfs", false},
            {"rprivate", "rbind,rprivate", "relatime - tmpfs", false},
            {"rslave", "rbind", "master:", true},
            {"rslave", "bind,private", "relatime - tmpfs", false},
            {"rprivate", "bind,slave", "master:", true},
            {"rslave", "rbind,rslave", "master:", true},
            {"rprivate", "rbind,runbindable", "unbindable", false},
            {"rshared", "rbind,rshared", "shared:", true},
            {"shared", "bind,shared", "shared:", true},
            {"rshared", "rbind,rslave", "master:", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(modes) && !test_failed; i++)
        run_mode(&modes[i]);
}

static void show_root(void *data)
{
    (void)data;
    printf("%s\n", inside_mount("/"));
}

TEST(rootfs_propagation_of_the_root)
{
    static const char *const modes[][2] = {{"rshared", "shared:"}, {"shared", "shared:"},
            {"unbindable", "unbindable"}, {"rslave", " - "}, {"private", " - "}};

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        struct box box;
        box_begin(&box);
        box.rootfs.propagation = modes[i][0];
        CHECK_RUN(&box, show_root, NULL);
        CHECK_STR(strstr(box.sandbox.output, modes[i][1]) ? "" : box.sandbox.output, "");
        box_end(&box);
    }
    struct box box;
    struct error err = ERROR_NONE;
    box_begin(&box);
    box.rootfs.propagation = "sideways";
    CHECK_INT(rootfs_add_open(&box.sandbox.plan, &box.rootfs, &err), -EINVAL);
    CHECK(strstr(err.text, "/linux/rootfsPropagation: \"sideways\""));
    box_end(&box);
}

/* Mounts inside must not leak to the host, whatever the host's propagation. */
TEST(rootfs_mounts_do_not_reach_a_shared_host)
{
    struct box box;
    char before[8192], path[128];

    box_begin(&box);
    CHECK_INT(sys_mount(NULL, "/mnt", NULL, MS_SHARED, NULL), 0);
    snprintf(before, sizeof(before), "%.8000s", inside_read("/proc/self/mountinfo"));
    box_mount(&box, "/t", "tmpfs", "t", "");
    CHECK_RUN(&box, show_root, NULL);
    CHECK_STR(inside_read("/proc/self/mountinfo"), before);
    snprintf(path, sizeof(path), "%s/t", box.sandbox.root);
    CHECK_INT(access(path, F_OK), 0);
    sys_mount(NULL, "/mnt", NULL, MS_PRIVATE, NULL);
    box_end(&box);
}

static void show_owner(void *data)
{
    struct stat st = {0};

    (void)data;
    stat("/there/x", &st);
    printf("%u %u", st.st_uid, st.st_gid);
    close(open("/there/made", O_CREAT | O_WRONLY, 0600));
    stat("/there/made", &st);
    printf(" %u\n", st.st_uid);
}

/* An idmapped bind: by its own maps without a user namespace, and by the sandbox's. */
TEST(rootfs_idmapped_mounts)
{
    static const struct {
        const char *options, *expected;
        bool userns;
    } cases[] = {
            {"bind,idmap=uids=0-5000-10;gids=0-6000-10", "5000 6000 4294967295", false},
            {"bind,idmap=uids=0-0-1#3-7-1;gids=0-9-1", "0 9 0", false},
            {"rbind,idmap", "0 0 0", true},
            {"rbind,ridmap", "0 0 0", true},
            {"bind,idmap=uids=@0-7-5;gids=@0-8-5", "7 8 65534", true},
            {"bind", "65534 65534 65534", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct box box;
        box_begin(&box);
        sandbox_file(&box.sandbox, "source/x", "y");
        if (cases[i].userns)
            box_userns(&box);
        box_mount(&box, "/there", "bind",
                arena_printf(&box.sandbox.arena, "%s/source", box.sandbox.dir), cases[i].options);
        CHECK_RUN(&box, show_owner, NULL);
        /* the third number is of no interest where the writer has no id in the map */
        CHECK(strncmp(box.sandbox.output, cases[i].expected, 3) == 0);
        box_end(&box);
    }
}

TEST(rootfs_idmap_that_cannot_be)
{
    struct box box;
    struct error err = ERROR_NONE;

    box_begin(&box);
    box_mount(&box, "/there", "bind", "/mnt", "bind,idmap");
    CHECK_INT(box_build(&box, &err), -EINVAL);
    CHECK(strstr(err.text, "needs a user namespace to take them from"));
    box_end(&box);
    box_begin(&box);
    box_mount(&box, "/there", "bind", "/proc", "bind,idmap=uids=0-1-1;gids=0-1-1");
    CHECK(box_run(&box, box_show, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text, "idmap /proc: EINVAL"));
    CHECK(strstr(box.sandbox.err.text, "its file system cannot be idmapped"));
    box_end(&box);
}

static void show_copy(void *data)
{
    char link[64] = "";
    struct stat st = {0};

    (void)data;
    if (readlink("/data/link", link, sizeof(link) - 1) < 0)
        printf("no link ");
    stat("/data/deep/file", &st);
    printf("%s %s %o %d %ld ", inside_read("/data/deep/file"), link, st.st_mode & 07777u, st.st_uid,
            (long)st.st_mtim.tv_sec);
    printf("%.8s\n", strstr(inside_mount("/data"), "tmpfs") ? "tmpfs" : "?");
}

TEST(rootfs_tmpcopyup)
{
    static const char *const options[] = {"tmpcopyup", "tmpcopyup,ro,size=1m"};

    for (size_t i = 0; i < 2; i++) {
        struct box box;
        const struct timespec times[2] = {{1000, 0}, {2000, 0}};
        char path[256];
        box_begin(&box);
        sandbox_file(&box.sandbox, "root/data/deep/file", "content\n");
        snprintf(path, sizeof(path), "%s/data/deep/file", box.sandbox.root);
        CHECK_INT(chown(path, 77, 78) + chmod(path, 04711), 0);
        CHECK_INT(utimensat(AT_FDCWD, path, times, 0), 0);
        snprintf(path, sizeof(path), "%s/data/link", box.sandbox.root);
        CHECK_INT(symlink("deep/file", path), 0);
        box_mount(&box, "/data", "tmpfs", "tmpfs", options[i]);
        CHECK_RUN(&box, show_copy, NULL);
        CHECK_STR(box.sandbox.output, "content deep/file 4711 77 2000 tmpfs");
        box_end(&box);
    }
}

static void show_links(void *data)
{
    char text[64] = "";
    struct stat st = {0};

    (void)data;
    printf("%zd ", readlink("/copied", text, sizeof(text) - 1));
    printf("%s ", text);
    lstat("/bound", &st);
    printf("%d ", S_ISLNK(st.st_mode));
    lstat("/over", &st);
    printf("%d %s\n", S_ISLNK(st.st_mode), inside_read("/target"));
}

TEST(rootfs_links_as_sources_and_targets)
{
    struct box box;
    char path[256], link[256];

    box_begin(&box);
    sandbox_file(&box.sandbox, "source/file", "content\n");
    sandbox_file(&box.sandbox, "root/target", "untouched\n");
    snprintf(link, sizeof(link), "%s/source/link", box.sandbox.dir);
    CHECK_INT(symlink("file", link), 0);
    snprintf(path, sizeof(path), "%s/over", box.sandbox.root);
    CHECK_INT(symlink("target", path), 0);
    box_mount(&box, "/copied", "bind", link, "bind,copy-symlink");
    box_mount(&box, "/bound", "bind", link, "bind");
    box_mount(&box, "/over", "bind", link, "bind,dest-nofollow");
    CHECK_RUN(&box, show_links, NULL);
    /* over the link itself lies the file now; what it points to is as it was */
    CHECK_STR(box.sandbox.output, "4 file 0 0 untouched");
    box_end(&box);
}

/* /dev. */

static void show_devices(void *data)
{
    size_t count;
    const struct rootfs_device *devices = rootfs_default_devices(&count);
    struct stat st = {0};
    char byte = 'x', text[64];

    (void)data;
    for (size_t i = 0; i < count; i++) {
        stat(devices[i].path, &st);
        printf("%u:%u ", major(st.st_rdev), minor(st.st_rdev));
    }
    stat("/dev/fuse-like", &st);
    printf("%u:%u:%o:%u ", major(st.st_rdev), minor(st.st_rdev), st.st_mode & 0777u, st.st_uid);
    int zero = open("/dev/zero", O_RDONLY);
    ssize_t got = read(zero, &byte, 1);
    printf("%zd%d ", got, byte);
    ssize_t length = readlink("/dev/ptmx", text, sizeof(text) - 1);
    printf("%.*s %d\n", (int)length, text, open("/dev/ptmx", O_RDWR) >= 0);
}

TEST(rootfs_devices)
{
    static const struct rootfs_device fuse = {
            "/dev/fuse-like", 'c', 10, 229, 0640, 33, 44, "/linux/devices/0"};

    for (int userns = 0; userns < 2; userns++) {
        struct box box;
        box_begin(&box);
        if (userns)
            box_userns(&box);
        box.rootfs.no_devices = false;
        box.rootfs.devices = &fuse;
        box.rootfs.devices_count = !userns;
        box_mount(&box, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
        box_mount(&box, "/dev/pts", "devpts", "devpts",
                "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620");
        CHECK_RUN(&box, show_devices, NULL);
        const char *all = "1:3 1:5 1:7 1:8 1:9 5:0 ";
        CHECK_STR(str_starts(box.sandbox.output, all) ? all : box.sandbox.output, all);
        if (!userns)
            CHECK(strstr(box.sandbox.output, " 10:229:640:33 "));
        CHECK_STR(str_ends(box.sandbox.output, " 10 pts/ptmx 1") ? "" : box.sandbox.output, "");
        box_end(&box);
    }
}

TEST(rootfs_device_that_is_something_else)
{
    struct box box;

    box_begin(&box);
    box.rootfs.no_devices = false;
    sandbox_file(&box.sandbox, "root/dev/null", "a file\n");
    CHECK(box_run(&box, box_show, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text,
            "make the character device /dev/null (1:3): the root has something else there"));
    box_end(&box);
}

TEST(rootfs_dev_that_is_a_link_is_refused)
{
    struct box box;
    char path[256];

    box_begin(&box);
    box.rootfs.no_devices = false;
    snprintf(path, sizeof(path), "%s/dev", box.sandbox.root);
    CHECK_INT(symlink("/etc", path), 0);
    box_mount(&box, "/dev", "tmpfs", "tmpfs", "");
    CHECK(box_run(&box, box_show, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text, "ELOOP"));
    CHECK(strstr(box.sandbox.err.text, "a symbolic link there could lead the mount elsewhere"));
    box_end(&box);
}

/* The older call, where the newer ones are refused. */
TEST(rootfs_falls_back_to_mount)
{
    static const char *const calls[] = {"fsopen", "open_tree", "mount_setattr"};
    static const int errors[] = {ENOSYS, EPERM};

    for (size_t i = 0; i < ARRAY_SIZE(calls) * 2; i++) {
        struct box box;
        if (i / 2 == 2 && errors[i & 1] == EPERM)
            continue; /* there EPERM is an answer, not a missing call */
        box_begin(&box);
        sandbox_file(&box.sandbox, "source/x", "y");
        box_mount(&box, "/t", "tmpfs", "tmpfs", "nosuid,size=64k,mode=700");
        box_mount(&box, "/there", "bind",
                arena_printf(&box.sandbox.arena, "%s/source", box.sandbox.dir),
                "rbind,ro,nodev,rprivate");
        box.rootfs.readonly = true;
        sys_door.refuse_call = calls[i / 2];
        sys_door.refuse_errnum = errors[i & 1];
        int r = box_run(&box, show_two, NULL);
        sys_door.refuse_call = NULL;
        CHECK_STR(r < 0 ? box.sandbox.err.text : "", "");
        CHECK(str_starts(box.sandbox.output, "ro,nodev"));
        box_end(&box);
    }
}

/* Cgroups as the machine has them: hybrid. */
static void show_cgroups(void *data)
{
    char link[64] = "";

    (void)data;
    printf("%.10s|", strstr(inside_mount("/sys/fs/cgroup/pids"), "- ") + 2);
    printf("%.10s|", strstr(inside_mount("/sys/fs/cgroup/unified"), "- ") + 2);
    printf("%d ", mkdir("/sys/fs/cgroup/new", 0755));
    printf("%zd %s ", readlink("/sys/fs/cgroup/alias", link, sizeof(link) - 1), link);
    printf("%d\n", access("/sys/fs/cgroup/pids/cgroup.procs", F_OK));
}

static bool has_hybrid(void)
{
    return access("/sys/fs/cgroup/pids/cgroup.procs", F_OK) == 0 &&
           access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0;
}

TEST(rootfs_cgroup_views)
{
    if (!has_hybrid())
        SKIP("needs the v1 pids controller and a v2 mount beside it");
    for (int own = 0; own < 2; own++) {
        struct box box;
        struct rootfs_cgroup items[] = {
                {.name = "pids", .options = "pids", .path = "/sys/fs/cgroup/pids"},
                {.name = "unified", .path = "/sys/fs/cgroup/unified", .unified = true},
        };
        struct rootfs_cgroups cgroups = {items, 2, own, false};
        box_begin(&box);
        strv_add(&box.sandbox.arena, &items[0].links, "alias");
        box.rootfs.cgroups = &cgroups;
        if (own)
            box.sandbox.set.of[NS_CGROUP].mode = NS_NEW;
        box_mount(&box, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
        box_mount(&box, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro");
        CHECK_RUN(&box, show_cgroups, NULL);
        CHECK_STR(box.sandbox.output, "cgroup cgr|cgroup2 cg|-1 4 pids 0");
        box_end(&box);
    }
}

TEST(rootfs_cgroup2_alone)
{
    struct box box;
    struct rootfs_cgroup item = {.name = "", .path = "/sys/fs/cgroup/unified", .unified = true};
    struct rootfs_cgroups cgroups = {&item, 1, true, true};

    box_begin(&box);
    box.rootfs.cgroups = &cgroups;
    box.sandbox.set.of[NS_CGROUP].mode = NS_NEW;
    box_mount(&box, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid");
    CHECK_RUN(&box, box_show, (void *)(uintptr_t) "/sys/fs/cgroup");
    CHECK(str_starts(box.sandbox.output, "rw,nosuid,nodev,noexec,relatime - cgroup2"));
    box_end(&box);
}

/* Proc in a nested sandbox: what the kernel refuses is told exactly. */
TEST(rootfs_nested_proc_refusals)
{
    struct box box;

    box_begin(&box);
    box_userns(&box);
    box.sandbox.set.of[NS_PID].mode = NS_HOST;
    CHECK(box_run(&box, box_leave, NULL) < 0);
    CHECK(strstr(box.sandbox.err.text, "mount proc on /proc: EPERM"));
    CHECK(strstr(box.sandbox.err.text, "does not own its PID namespace"));
    box_end(&box);
    box_begin(&box);
    box_userns(&box);
    CHECK_INT(sys_mount("cover", "/proc/acpi", "tmpfs", 0, NULL) < 0 &&
                      sys_mount("cover", "/proc/fs", "tmpfs", 0, NULL) < 0,
            0);
    int r = box_run(&box, box_leave, NULL);
    sys_umount2("/proc/acpi", MNT_DETACH);
    sys_umount2("/proc/fs", MNT_DETACH);
    CHECK(r < 0);
    CHECK(strstr(box.sandbox.err.text, "here parts are covered (/proc/"));
    box_end(&box);
}

/* An ordinary user: the child opens the sources, and all is made in its user namespace. */
#define ORDINARY 65534

static int build_rootless(struct box *box, struct error *err)
{
    static struct id_map one[] = {{0, ORDINARY, 1}};
    struct ns_id_maps maps = {.uids = {one, 1}, .gids = {one, 1}, .deny_setgroups = true};
    struct plan *plan = &box->sandbox.plan;

    sandbox_add_clone(&box->sandbox);
    ns_add_id_maps(plan, &maps, "");
    ns_add_become_root(plan, true, "");
    int r = rootfs_add_open(plan, &box->rootfs, err);
    if (r == 0)
        r = rootfs_add_prepare(plan, &box->rootfs, err);
    return r == 0 ? rootfs_add_mounts(plan, &box->rootfs, err) : r;
}

static int run_rootless(struct box *box)
{
    if (sys_setresgid(ORDINARY, ORDINARY, ORDINARY) < 0 ||
            sys_setresuid(ORDINARY, ORDINARY, ORDINARY) < 0)
        return -EPERM;
    prctl(PR_SET_DUMPABLE, 1);
    int r = build_rootless(box, &box->sandbox.err);
    if (r < 0)
        return r;
    rootfs_add_enter(&box->sandbox.plan, &box->rootfs, NULL);
    sandbox_add_run(&box->sandbox, show_devices, NULL);
    return sandbox_apply(&box->sandbox);
}

TEST(rootfs_rootless)
{
    struct box box;
    int status = -1;

    box_begin(&box);
    box_userns(&box);
    box.rootfs.idmapped = false;
    box.rootfs.rootless = true;
    box.rootfs.no_devices = false;
    sandbox_file(&box.sandbox, "source/x", "y");
    box_mount(&box, "/dev", "tmpfs", "tmpfs", "nosuid,mode=755");
    box_mount(&box, "/dev/pts", "devpts", "devpts", "newinstance,ptmxmode=0666,mode=0620");
    box_mount(&box, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
    box_mount(&box, "/there", "bind",
            arena_printf(&box.sandbox.arena, "%s/source", box.sandbox.dir), "rbind,ro");
    CHECK_INT(chown(box.sandbox.dir, ORDINARY, ORDINARY), 0);
    CHECK_INT(chown(box.sandbox.root, ORDINARY, ORDINARY), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int r = run_rootless(&box);
        if (r < 0)
            printf("  %s\n", box.sandbox.err.text);
        fflush(stdout);
        _exit(r < 0 || !str_starts(box.sandbox.output, "1:3 1:5 1:7 1:8 1:9 5:0 "));
    }
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    box_end(&box);
}

/* What is described is what is done: the door's own record against the plan's text. */
static int record_fd = -1;

static void record_call(void *data, const char *call, long result)
{
    char line[64];

    (void)data, (void)result;
    int length = snprintf(line, sizeof(line), "%s\n", call);
    if (write(record_fd, line, (size_t)length) != length)
        abort();
}

/* Calls that go through the door; others (fstat, umask …) are not in its record. */
static bool is_recorded(const char *call)
{
    static const char *const others[] = {"fstat", "fstatfs", "umask", "chdir", "openat", "write",
            "waitid", "getcwd", "ioctl", "clone3", "execve"};

    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(others[i], call) == 0)
            return false;
    return true;
}

static void describe_all(struct sandbox *sandbox, struct buf *names)
{
    for (size_t i = 0; i < sandbox->plan.count; i++) {
        struct step_text text = {.arena = &sandbox->arena};
        const char *call;
        plan_describe(&sandbox->plan, i, &text);
        strv_foreach (call, &text.calls) {
            char name[64];
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(call, "("), call);
            if (is_recorded(name))
                buf_printf(names, "%s\n", name);
        }
    }
}

static void full_box(struct box *box)
{
    box_begin(box);
    box_userns(box);
    box->rootfs.no_devices = false;
    box->rootfs.readonly = true;
    sandbox_file(&box->sandbox, "source/x", "y");
    sandbox_file(&box->sandbox, "root/dev/pts/x", "");
    sandbox_file(&box->sandbox, "root/sys/x", "");
    sandbox_file(&box->sandbox, "root/there/x", "");
    sandbox_file(&box->sandbox, "root/proc/x", "");
    box_mount(box, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    box_mount(box, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
    box_mount(box, "/there", "bind",
            arena_printf(&box->sandbox.arena, "%s/source", box->sandbox.dir),
            "rbind,ro,rprivate,idmap");
    strv_add(&box->sandbox.arena, &box->rootfs.masked, "/proc/kcore");
    strv_add(&box->sandbox.arena, &box->rootfs.masked, "/sys/firmware");
    strv_add(&box->sandbox.arena, &box->rootfs.masked, "/proc/nothing");
    strv_add(&box->sandbox.arena, &box->rootfs.readonly_paths, "/proc/sys");
}

static void record_run(struct box *box, struct buf *names)
{
    char path[256];

    CHECK_INT(box_build(box, &box->sandbox.err), 0);
    rootfs_add_enter(&box->sandbox.plan, &box->rootfs, NULL);
    rootfs_add_cwd(&box->sandbox.plan, "/", "");
    sandbox_add_run(&box->sandbox, box_leave, NULL);
    describe_all(&box->sandbox, names);
    snprintf(path, sizeof(path), "%s/record", box->sandbox.dir);
    record_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sys_door.report = record_call;
    int r = sandbox_apply(&box->sandbox);
    sys_door.report = NULL;
    CHECK_STR(r < 0 ? box->sandbox.err.text : "", "");
}

TEST(rootfs_description_is_true)
{
    struct box box;
    _cleanup_buf_ struct buf names = {0};
    char found[8192] = "", expected[8192], *out = expected;

    full_box(&box);
    record_run(&box, &names);
    if (!test_failed) {
        lseek(record_fd, 0, SEEK_SET);
        ssize_t length = read(record_fd, found, sizeof(found) - 1);
        found[length < 0 ? 0 : length] = '\0';
        /* the test's own clone, and the wait for the child at the end */
        const char *line = found;
        while (*line) {
            size_t size = strcspn(line, "\n") + 1;
            if (strncmp(line, "clone3\n", 7) != 0 && strncmp(line, "waitid\n", 7) != 0) {
                memcpy(out, line, size);
                out += size;
            }
            line += size;
        }
        *out = '\0';
        CHECK_STR(expected, buf_text(&names));
    }
    close(record_fd);
    box_end(&box);
}

TEST_MAIN()
