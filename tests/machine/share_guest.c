/*
 * The guest's side of the tests of shared folders, static so that it runs in an initramfs:
 *     guest-share content FILE SEED COUNT   random changes of one file, compared with a copy in
 * memory guest-share names FOLDER SEED COUNT   random changes of names in a folder guest-share
 * calls FOLDER              each system call that has something of its own guest-share sync FILE
 * COUNT           synchronous writes of 4 KiB; prints how many a second All but the last say "NAME
 * ok" at the end, or what was wrong, and exit with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define EXPECT(condition_)                                                                         \
    do {                                                                                           \
        if (!(condition_)) {                                                                       \
            printf("%s:%d: %s: %s\n", __func__, __LINE__, #condition_, strerror(errno));           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33) % below;
}

/* ---- one file's content ---- */

#define FILE_MAX (1U << 20)
#define PIECE_MAX 65536U

static unsigned char model[FILE_MAX];
static unsigned size;

static unsigned char *random_piece(unsigned length)
{
    static unsigned char piece[PIECE_MAX];

    for (unsigned i = 0; i < length; i++)
        piece[i] = (unsigned char)pick(256);
    return piece;
}

static void grown_to(unsigned end)
{
    if (end > size)
        size = end;
}

static void do_write(int fd, unsigned at, unsigned length)
{
    unsigned char *piece = random_piece(length);

    EXPECT(pwrite(fd, piece, length, at) == (ssize_t)length);
    memcpy(model + at, piece, length);
    grown_to(at + length);
}

static void do_read(int fd, unsigned at, unsigned length)
{
    static unsigned char found[PIECE_MAX];
    unsigned expected = at >= size ? 0 : size - at < length ? size - at : length;

    EXPECT(pread(fd, found, length, at) == (ssize_t)expected);
    EXPECT(memcmp(found, model + at, expected) == 0);
}

static void do_truncate(int fd, unsigned to)
{
    EXPECT(ftruncate(fd, to) == 0);
    if (to < size)
        memset(model + to, 0, size - to);
    size = to;
}

static void do_map(int fd, unsigned at, unsigned length)
{
    if (at + length > size || length == 0)
        return;
    unsigned start = at & ~4095U;
    unsigned char *map =
            mmap(NULL, at + length - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
    EXPECT(map != MAP_FAILED);
    EXPECT(memcmp(map + (at - start), model + at, length) == 0);
    unsigned char *piece = random_piece(length);
    memcpy(map + (at - start), piece, length);
    memcpy(model + at, piece, length);
    EXPECT(munmap(map, at + length - start) == 0);
}

static void do_punch(int fd, unsigned at, unsigned length)
{
    EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length) == 0);
    if (at < size)
        memset(model + at, 0, size - at < length ? size - at : length);
}

static void do_allocate(int fd, unsigned at, unsigned length)
{
    EXPECT(fallocate(fd, 0, at, length) == 0);
    grown_to(at + length);
}

static void content(const char *path, unsigned count)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    EXPECT(fd >= 0);
    for (unsigned i = 0; i < count; i++) {
        unsigned length = 1 + pick(pick(2) ? PIECE_MAX : 300), at = pick(FILE_MAX - length);
        static void (*const changes[])(int, unsigned, unsigned) = {
                do_write, do_read, do_map, do_punch, do_allocate, do_write, do_read};
        unsigned kind = pick(sizeof(changes) / sizeof(changes[0]) + 1);
        if (kind < sizeof(changes) / sizeof(changes[0]))
            changes[kind](fd, at, length);
        else
            do_truncate(fd, at);
        if (pick(20) == 0)
            EXPECT(fsync(fd) == 0);
        if (pick(15) == 0) {
            close(fd);
            fd = open(path, O_RDWR);
            EXPECT(fd >= 0);
        }
    }
    do_read(fd, 0, size < PIECE_MAX ? size : PIECE_MAX);
    EXPECT(close(fd) == 0);
    printf("content ok\n");
}

/* ---- names ---- */

static const char *random_name(void)
{
    static char names[2][64];
    static unsigned turn;
    char *name = names[turn++ % 2];

    if (pick(2))
        snprintf(name, 64, "d%u/n%u", pick(4), pick(12));
    else
        snprintf(name, 64, "n%u", pick(12));
    return name;
}

static void make_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0600 | pick(64));

    if (fd >= 0)
        dprintf(fd, "%s %u\n", name, pick(1000));
    close(fd);
}

/* Most of these fail now and then, as there is no such name, or one: that is as it should be. */
static void change_names(void)
{
    const char *name = random_name(), *other = random_name();

    switch (pick(10)) {
    case 0:
        mkdir(name, 0755);
        break;
    case 1:
        rmdir(name);
        break;
    case 2:
        unlink(name);
        break;
    case 3:
        link(name, other);
        break;
    case 4:
        symlink(other, name);
        break;
    case 5:
    case 6:
        rename(name, other);
        break;
    case 7:
        renameat2(AT_FDCWD, name, AT_FDCWD, other, RENAME_EXCHANGE);
        break;
    case 8:
        truncate(name, pick(10000));
        break;
    default:
        make_file(name);
        break;
    }
}

static void names(const char *folder, unsigned count)
{
    char sub[8];

    EXPECT(chdir(folder) == 0);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(sub, sizeof(sub), "d%u", i);
        EXPECT(mkdir(sub, 0755) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        change_names();
    EXPECT(chdir("/") == 0);
    printf("names ok\n");
}

/* ---- each call ---- */

static int make(const char *name, const char *text)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0644);

    EXPECT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static void check_unlinked(void)
{
    char found[16] = "";
    struct stat st;
    int fd = make("gone", "before");

    EXPECT(unlink("gone") == 0);
    EXPECT(pwrite(fd, "B", 1, 0) == 1 && pread(fd, found, 6, 0) == 6 && !strcmp(found, "Before"));
    EXPECT(ftruncate(fd, 3) == 0 && fchmod(fd, 0600) == 0 && fchown(fd, 7, 8) == 0);
    EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 3 && st.st_uid == 7);
    EXPECT((st.st_mode & 07777) == 0600 && close(fd) == 0);
    EXPECT(open("gone", O_RDONLY) < 0 && errno == ENOENT);
}

static void check_renames(void)
{
    struct stat st;

    close(make("a", "aa"));
    close(make("b", "bbb"));
    EXPECT(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) < 0 && errno == EEXIST);
    EXPECT(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0);
    EXPECT(stat("a", &st) == 0 && st.st_size == 3 && stat("b", &st) == 0 && st.st_size == 2);
    int fd = open("b", O_RDONLY);
    EXPECT(rename("a", "b") == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0);
    EXPECT(close(fd) == 0 && stat("b", &st) == 0 && st.st_size == 3);
    EXPECT(mkdir("dir", 0755) == 0 && rename("b", "dir/c") == 0);
    EXPECT(rename("dir", "moved") == 0 && stat("moved/c", &st) == 0 && truncate("moved/c", 1) == 0);
    EXPECT(link("moved/c", "hard") == 0 && stat("hard", &st) == 0 && st.st_nlink == 2);
    EXPECT(unlink("moved/c") == 0 && stat("hard", &st) == 0 && st.st_nlink == 1);
    fd = open("hard", O_RDWR);
    EXPECT(fd >= 0 && close(fd) == 0);
}

static void check_xattrs(void)
{
    char value[64];
    char list[64];

    close(make("x", ""));
    EXPECT(setxattr("x", "user.one", "1", 1, XATTR_CREATE) == 0);
    EXPECT(setxattr("x", "user.one", "1", 1, XATTR_CREATE) < 0 && errno == EEXIST);
    EXPECT(setxattr("x", "user.two", "22", 2, 0) == 0);
    EXPECT(getxattr("x", "user.two", value, sizeof(value)) == 2 && !memcmp(value, "22", 2));
    EXPECT(getxattr("x", "user.two", NULL, 0) == 2);
    EXPECT(getxattr("x", "user.two", value, 1) < 0 && errno == ERANGE);
    EXPECT(listxattr("x", list, sizeof(list)) == 18);
    EXPECT(removexattr("x", "user.one") == 0);
    EXPECT(getxattr("x", "user.one", value, sizeof(value)) < 0 && errno == ENODATA);
}

static void check_content(void)
{
    struct stat st;
    char found[32] = "";
    int fd = make("sparse", "x"), to;

    EXPECT(ftruncate(fd, 1 << 30) == 0 && pwrite(fd, "end", 3, 1 << 30) == 3);
    EXPECT(fsync(fd) == 0 && fstat(fd, &st) == 0 && st.st_size == (1 << 30) + 3);
    EXPECT(st.st_blocks < 100);
    EXPECT(lseek(fd, 0, SEEK_HOLE) <= 1 << 20 && lseek(fd, 1 << 20, SEEK_DATA) >= 1 << 29);
    to = make("copy", "");
    off_t from = 1 << 30;
    EXPECT(copy_file_range(fd, &from, to, NULL, 3, 0) == 3);
    EXPECT(pread(to, found, 10, 0) == 3 && !strcmp(found, "end"));
    close(to);
    to = open("copy", O_WRONLY | O_APPEND);
    EXPECT(write(to, "less", 4) == 4 && close(to) == 0 && close(fd) == 0);
    fd = open("copy", O_RDONLY | O_DIRECT);
    void *page = aligned_alloc(4096, 4096);
    EXPECT(fd >= 0 && read(fd, page, 4096) == 7 && !memcmp(page, "endless", 7));
    EXPECT(close(fd) == 0);
    fd = open("copy", O_RDONLY | O_TRUNC);
    EXPECT(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 0 && close(fd) == 0);
}

static void check_kinds(void)
{
    char target[64], name[300];
    struct stat st;
    struct statvfs figures;
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};

    EXPECT(symlink("/etc/passwd", "link") == 0);
    EXPECT(readlink("link", target, sizeof(target)) == 11 && lstat("link", &st) == 0);
    EXPECT(S_ISLNK(st.st_mode) && lchown("link", 3, 4) == 0);
    EXPECT(mknod("fifo", S_IFIFO | 0640, 0) == 0 && stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
    EXPECT(chmod("fifo", 0600) == 0 || errno == EOPNOTSUPP);
    EXPECT(mknod("device", S_IFBLK | 0600, makedev(8, 0)) < 0 && errno == EPERM);
    EXPECT(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) == 0);
    EXPECT(lstat("link", &st) == 0 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7);
    memset(name, 'n', sizeof(name));
    name[256] = 0;
    EXPECT(open(name, O_CREAT | O_WRONLY, 0600) < 0 && errno == ENAMETOOLONG);
    name[255] = 0;
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    EXPECT(fd >= 0 && close(fd) == 0);
    EXPECT(statvfs(".", &figures) == 0 && figures.f_blocks > 0);
}

/* Owners and groups of what an ordinary user makes, below an ordinary folder and one that passes
 * its group on. */
static void check_owners(void)
{
    struct stat st;

    EXPECT(mkdir("open", 0777) == 0 && chmod("open", 0777) == 0);
    EXPECT(mkdir("team", 02777) == 0 && chown("team", 0, 55) == 0 && chmod("team", 02777) == 0);
    EXPECT(setegid(101) == 0 && seteuid(100) == 0);
    close(make("open/mine", "m"));
    close(make("team/ours", "o"));
    EXPECT(mkdir("team/sub", 0755) == 0 && symlink("x", "open/s") == 0);
    EXPECT(open("x", O_WRONLY) < 0 && errno == EACCES);
    EXPECT(seteuid(0) == 0 && setegid(0) == 0);
    EXPECT(stat("open/mine", &st) == 0 && st.st_uid == 100 && st.st_gid == 101);
    EXPECT(lstat("open/s", &st) == 0 && st.st_uid == 100 && st.st_gid == 101);
    EXPECT(stat("team/ours", &st) == 0 && st.st_uid == 100 && st.st_gid == 55);
    EXPECT(stat("team/sub", &st) == 0 && st.st_gid == 55 && (st.st_mode & S_ISGID));
}

static void calls(const char *folder)
{
    EXPECT(chdir(folder) == 0);
    umask(022);
    check_unlinked();
    check_renames();
    check_xattrs();
    check_content();
    check_kinds();
    check_owners();
    EXPECT(chdir("/") == 0);
    printf("calls ok\n");
}

static void synchronous(const char *path, unsigned count)
{
    static char block[4096];
    struct timespec begin, end;
    int fd = open(path, O_WRONLY | O_CREAT | O_DSYNC, 0600);

    EXPECT(fd >= 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < count; i++)
        EXPECT(write(fd, block, sizeof(block)) == sizeof(block));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
            (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("sync %.0f writes/s\n", count / seconds);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc == 5) {
        seed = strtoull(argv[3], NULL, 10);
        (strcmp(argv[1], "names") ? content : names)(argv[2], (unsigned)strtoul(argv[4], NULL, 10));
    } else if (argc == 4) {
        synchronous(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    } else if (argc == 3) {
        calls(argv[2]);
    } else {
        return 2;
    }
    return 0;
}
