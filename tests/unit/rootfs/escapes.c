/* What a hostile image tries during the set-up, and what is hidden from the workload. */
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

/* Masks. */

static void show_masks(void *data)
{
    static const char *const files[] = {"/secret/file", "/proc/kcore", "/proc/keys"};
    struct stat st = {0};
    _cleanup_closedir_ DIR *dir = opendir("/secret/dir");
    struct dirent *entry;
    int entries = 0;

    (void)data;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        stat(files[i], &st);
        printf("%u:%u ", major(st.st_rdev), minor(st.st_rdev));
    }
    while (dir && (entry = readdir(dir)))
        entries++;
    printf("%d ", entries);
    printf("%s ", open("/secret/dir/new", O_CREAT | O_WRONLY, 0600) < 0 ? error_name(errno) : "?");
    printf("%s ", open("/proc/sys/kernel/hostname", O_WRONLY) < 0 ? error_name(errno) : "?");
    printf("%s\n", open("/kept/new", O_CREAT | O_WRONLY, 0600) < 0 ? error_name(errno) : "?");
}

static const char *const masked[] = {
        "/secret/file", "/secret/dir", "/not/there", "/proc/kcore", "/proc/keys", "/secret/file/x"};

static void add_masks(struct box *box)
{
    for (size_t i = 0; i < ARRAY_SIZE(masked); i++)
        strv_add(&box->sandbox.arena, &box->rootfs.masked, masked[i]);
    strv_add(&box->sandbox.arena, &box->rootfs.readonly_paths, "/proc/sys");
    strv_add(&box->sandbox.arena, &box->rootfs.readonly_paths, "/kept");
    strv_add(&box->sandbox.arena, &box->rootfs.readonly_paths, "/nowhere");
    box->rootfs.masked_because = "/linux/maskedPaths";
    box->rootfs.readonly_because = "/linux/readonlyPaths";
    sandbox_file(&box->sandbox, "root/secret/file", "secret\n");
    sandbox_file(&box->sandbox, "root/secret/dir/file", "secret\n");
    sandbox_file(&box->sandbox, "root/kept/file", "x\n");
}

TEST(rootfs_masked_and_readonly_paths)
{
    for (int userns = 0; userns < 2; userns++) {
        struct box box;
        box_begin(&box);
        if (userns)
            box_userns(&box);
        add_masks(&box);
        CHECK_RUN(&box, show_masks, NULL);
        /* a file of the host's kernel is not even root's there, which is asked first */
        CHECK_STR(box.sandbox.output,
                userns ? "1:3 1:3 1:3 2 EROFS EACCES EROFS" : "1:3 1:3 1:3 2 EROFS EROFS EROFS");
        box_end(&box);
    }
}

/* CVE-2025-31133: the image's /dev/null is a link to what is to be bound over and written. */
TEST(rootfs_cve_2025_31133)
{
    struct box box;
    char path[256];

    box_begin(&box);
    add_masks(&box);
    sandbox_file(&box.sandbox, "root/dev/x", "");
    snprintf(path, sizeof(path), "%s/dev/null", box.sandbox.root);
    CHECK_INT(symlink("/proc/sys/kernel/core_pattern", path), 0);
    CHECK_RUN(&box, show_masks, NULL);
    CHECK_STR(box.sandbox.output, "1:3 1:3 1:3 2 EROFS EROFS EROFS");
    box_end(&box);
}

TEST(rootfs_null_of_the_host_replaced)
{
    struct box box;

    box_begin(&box);
    add_masks(&box);
    sandbox_file(&box.sandbox, "fake", "");
    char path[256];
    snprintf(path, sizeof(path), "%s/fake", box.sandbox.dir);
    CHECK_INT(sys_mount(path, "/dev/null", NULL, MS_BIND, NULL), 0);
    int r = box_run(&box, box_leave, NULL);
    sys_umount2("/dev/null", MNT_DETACH);
    CHECK(r < 0);
    CHECK(strstr(box.sandbox.err.text, "/dev/null is not the character device 1:3"));
    box_end(&box);
}

/* CVE-2025-52565: the console is bound where the image has put a link. */
TEST(rootfs_cve_2025_52565)
{
    struct box box;
    char path[256];

    box_begin(&box);
    sandbox_file(&box.sandbox, "root/dev/x", "");
    sandbox_file(&box.sandbox, "root/victim", "untouched\n");
    snprintf(path, sizeof(path), "%s/dev/console", box.sandbox.root);
    CHECK_INT(symlink("/victim", path), 0);
    int slot = plan_new_slot(&box.sandbox.plan);
    CHECK_INT(box_build(&box, &box.sandbox.err), 0);
    rootfs_add_bind_fd(&box.sandbox.plan, &box.rootfs, slot, "pty", "/dev/console", "");
    sandbox_add_run(&box.sandbox, box_leave, NULL);
    plan_run_init(&box.sandbox.run, &box.sandbox.plan);
    box.sandbox.run.fds[slot] = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(plan_apply(&box.sandbox.run, &box.sandbox.err) < 0);
    CHECK(strstr(box.sandbox.err.text, "bind pty on /dev/console"));
    box_end(&box);
}

/* CVE-2024-21626: a working directory through a descriptor that was left open. */
static int run_cwd(struct box *box, const char *cwd)
{
    int r = box_build(box, &box->sandbox.err);

    if (r < 0)
        return r;
    rootfs_add_enter(&box->sandbox.plan, &box->rootfs, NULL);
    rootfs_add_cwd(&box->sandbox.plan, cwd, "/process/cwd");
    sandbox_add_run(&box->sandbox, box_leave, NULL);
    return sandbox_apply(&box->sandbox);
}

TEST(rootfs_cve_2024_21626)
{
    for (int fd = 3; fd < 14; fd++) {
        struct box box;
        box_begin(&box);
        int leaked = open("/", O_RDONLY | O_DIRECTORY);
        if (leaked != fd)
            dup2(leaked, fd);
        CHECK(run_cwd(&box, arena_printf(&box.sandbox.arena, "/proc/self/fd/%d", fd)) < 0);
        CHECK(strstr(box.sandbox.err.text, "config.json /process/cwd"));
        CHECK(!strstr(box.sandbox.output, "inside"));
        close(leaked);
        if (leaked != fd)
            close(fd);
        box_end(&box);
    }
}

TEST(rootfs_cwd_by_a_link_in_the_image)
{
    struct box box;
    char path[256];
    int leaked = open("/", O_RDONLY | O_DIRECTORY);

    box_begin(&box);
    snprintf(path, sizeof(path), "%s/way", box.sandbox.root);
    char target[64];
    snprintf(target, sizeof(target), "/proc/self/fd/%d", leaked);
    CHECK_INT(symlink(target, path), 0);
    CHECK(run_cwd(&box, "/way") < 0);
    CHECK(strstr(box.sandbox.err.text, "ELOOP"));
    close(leaked);
    box_end(&box);
}

TEST(rootfs_cwd_is_made)
{
    struct box box;
    char path[256];

    box_begin(&box);
    CHECK_STR(run_cwd(&box, "/srv/app/data") < 0 ? box.sandbox.err.text : "", "");
    CHECK_STR(box.sandbox.output, "inside");
    snprintf(path, sizeof(path), "%s/srv/app/data", box.sandbox.root);
    CHECK_INT(access(path, F_OK), 0);
    box_end(&box);
}

/* CVE-2025-52881: a write meant for a sysctl, while /proc inside is somebody else's. */
static void show_sysctl(void *data)
{
    (void)data;
    printf("%s|%s\n", inside_read("/proc/sys/kernel/msgmax"), "");
}

TEST(rootfs_cve_2025_52881)
{
    struct box box;

    box_begin(&box);
    box.sandbox.set.of[NS_IPC].mode = NS_NEW;
    box.sandbox.set.of[NS_PID].mode = NS_HOST;
    box.rootfs.mounts_count = 0;
    sandbox_file(&box.sandbox, "fake/sys/kernel/msgmax", "fake\n");
    sandbox_file(&box.sandbox, "fake/self/attr/current", "fake\n");
    box_mount(&box, "/proc", "bind", arena_printf(&box.sandbox.arena, "%s/fake", box.sandbox.dir),
            "bind");
    CHECK_INT(box_build(&box, &box.sandbox.err), 0);
    rootfs_open_proc(&box.sandbox.plan, STEP_CHILD, box.rootfs.proc_slot);
    ns_add_sysctl(&box.sandbox.plan, "kernel.msgmax", "54321", box.rootfs.proc_slot, "");
    box_mount(&box, "/real", "proc", "proc", "");
    rootfs_add_enter(&box.sandbox.plan, &box.rootfs, NULL);
    sandbox_add_run(&box.sandbox, show_sysctl, NULL);
    CHECK_STR(sandbox_apply(&box.sandbox) < 0 ? box.sandbox.err.text : "", "");
    CHECK_STR(box.sandbox.output, "fake|"); /* the file that lay in wait was not written */
    box_end(&box);
}

/* CVE-2021-30465: a directory is exchanged for a link to the host's root during the mount. */
static pid_t start_exchange(const char *root)
{
    pid_t child = fork();
    char a[256], b[256];

    if (child != 0)
        return child;
    snprintf(a, sizeof(a), "%s/vol", root);
    snprintf(b, sizeof(b), "%s/vol-link", root);
    for (;;)
        renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

TEST(rootfs_cve_2021_30465)
{
    char link[256], before[8192];
    int reached = 0;

    for (int i = 0; i < 60; i++) {
        struct box box;
        box_begin(&box);
        if (i == 0)
            snprintf(before, sizeof(before), "%.8000s", inside_read("/proc/self/mountinfo"));
        sandbox_file(&box.sandbox, "root/vol/dir/x", "");
        snprintf(link, sizeof(link), "%s/vol-link", box.sandbox.root);
        CHECK_INT(symlink("/../../../../../../", link), 0);
        box_mount(&box, "/vol/dir", "tmpfs", "attack", "");
        box_mount(&box, "/vol/dir/deep", "tmpfs", "attack", "");
        pid_t attacker = start_exchange(box.sandbox.root);
        int r = box_run(&box, box_show, (void *)(uintptr_t) "/vol/dir");
        kill(attacker, SIGKILL);
        waitpid(attacker, NULL, 0);
        reached += r >= 0;
        box_end(&box);
        CHECK_STR(inside_read("/proc/self/mountinfo"), before);
        CHECK(access("/dir", F_OK) < 0); /* made nowhere on the host */
    }
    CHECK(reached > 0);
}

TEST_MAIN()
