/* Paths inside a root that somebody hostile has filled. */
#include "rootfs/inroot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "test.h"

static char dir[64];
static int root = -1;

static void begin(void)
{
    char path[128];

    snprintf(dir, sizeof(dir), "/tmp/inroot.XXXXXX");
    if (!mkdtemp(dir))
        abort();
    snprintf(path, sizeof(path), "%s/root", dir);
    mkdir(path, 0755);
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/outside", dir);
    mkdir(path, 0755);
}

static void end(void)
{
    cleanup_close(&root);
    io_remove_tree_at(AT_FDCWD, dir);
}

/* Where a descriptor is, relative to the test's directory. */
static const char *place(int fd)
{
    static char text[512];
    char link[64];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, text, sizeof(text) - 1);
    text[length < 0 ? 0 : length] = '\0';
    return strncmp(text, dir, strlen(dir)) == 0 ? text + strlen(dir) : text;
}

static const char *open_there(const char *path, enum inroot_make make, enum inroot_follow follow)
{
    struct error err = ERROR_NONE;
    _cleanup_close_ int fd = inroot_open(root, path, make, follow, &err);

    return fd < 0 ? error_name(-fd) : place(fd);
}

#define CHECK_PLACE(path, make, follow, expected)                                                  \
    CHECK_STR(open_there(path, INROOT_##make, INROOT_##follow), expected)

TEST(inroot_makes_what_is_missing)
{
    struct stat st;

    begin();
    CHECK_PLACE("/a/b/c", MUST_EXIST, FOLLOW, "ENOENT");
    CHECK_PLACE("/a/b/c", DIRECTORY, FOLLOW, "/root/a/b/c");
    CHECK_PLACE("a//b/./d/", DIRECTORY, FOLLOW, "/root/a/b/d");
    CHECK_PLACE("/a/f/file", FILE, FOLLOW, "/root/a/f/file");
    CHECK_INT(fstatat(root, "a/f/file", &st, 0), 0);
    CHECK(S_ISREG(st.st_mode));
    CHECK_PLACE("", MUST_EXIST, FOLLOW, "/root");
    CHECK_PLACE("/", DIRECTORY, FOLLOW, "/root");
    CHECK_PLACE("/a/f/file/x", DIRECTORY, FOLLOW, "ENOTDIR");
    end();
}

TEST(inroot_stays_inside)
{
    begin();
    symlinkat("/", root, "slash");
    symlinkat("../../../../outside", root, "up");
    symlinkat("/outside", root, "abs");
    symlinkat("/proc/self/root", root, "magic");
    CHECK_PLACE("/slash/../../x", DIRECTORY, FOLLOW, "/root/x");
    CHECK_PLACE("/up/x", DIRECTORY, FOLLOW, "/root/outside/x");
    CHECK_PLACE("/abs/y", DIRECTORY, FOLLOW, "/root/outside/y");
    CHECK_PLACE("/../../outside/z", DIRECTORY, FOLLOW, "/root/outside/z");
    CHECK_PLACE("/magic", DIRECTORY, FOLLOW, "/root/proc/self/root");
    CHECK_INT(faccessat(AT_FDCWD, "/tmp/outside", F_OK, 0), -1);
    end();
}

TEST(inroot_fills_dangling_links)
{
    begin();
    symlinkat("target/deep", root, "one");
    symlinkat("/one/more", root, "two");
    CHECK_PLACE("/two/x", DIRECTORY, FOLLOW, "/root/target/deep/more/x");
    symlinkat("nowhere", root, "file");
    CHECK_PLACE("/file", FILE, FOLLOW, "/root/nowhere");
    symlinkat("loop2", root, "loop1");
    symlinkat("loop1", root, "loop2");
    CHECK_PLACE("/loop1/x", DIRECTORY, FOLLOW, "ELOOP");
    symlinkat("grow/x", root, "grow");
    CHECK_PLACE("/grow", DIRECTORY, FOLLOW, "ELOOP");
    end();
}

TEST(inroot_refuses_links_where_asked)
{
    begin();
    mkdirat(root, "dir", 0755);
    symlinkat("dir", root, "link");
    CHECK_PLACE("/link", MUST_EXIST, FOLLOW, "/root/dir");
    CHECK_PLACE("/link", MUST_EXIST, NO_LAST, "/root/link");
    CHECK_PLACE("/link", MUST_EXIST, NO_SYMLINKS, "ELOOP");
    CHECK_PLACE("/link/x", DIRECTORY, NO_SYMLINKS, "ELOOP");
    CHECK_PLACE("/dir/x", DIRECTORY, NO_SYMLINKS, "/root/dir/x");
    end();
}

TEST(inroot_long_names_fail)
{
    char path[5000];

    begin();
    memset(path, 'a', sizeof(path));
    path[300] = '\0';
    CHECK_STR(open_there(path, INROOT_DIRECTORY, INROOT_FOLLOW), "ENAMETOOLONG");
    path[300] = 'a';
    path[4999] = '\0';
    CHECK_STR(open_there(path, INROOT_DIRECTORY, INROOT_FOLLOW), "ENAMETOOLONG");
    end();
}

TEST(inroot_opens_parents)
{
    struct error err = ERROR_NONE;
    const char *name;

    begin();
    int fd = inroot_open_parent(root, "/x/y/z", &name, &err);
    CHECK(fd >= 0);
    CHECK_STR(place(fd), "/root/x/y");
    CHECK_STR(name, "z");
    close(fd);
    CHECK_INT(inroot_open_parent(root, "/x/..", &name, &err), -EINVAL);
    CHECK_INT(inroot_open_parent(root, "/", &name, &err), -EINVAL);
    end();
}

TEST_MAIN()
