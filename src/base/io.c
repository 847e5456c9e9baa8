#include "base/io.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MAX_FDS 16

int io_read_fd(int fd, struct buf *buf)
{
    char chunk[16384];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 0;
        buf_add(buf, chunk, (size_t)got);
        if (buf->overflow)
            return -EFBIG;
    }
}

int io_read_file_at(int dirfd, const char *path, struct buf *buf)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : io_read_fd(fd, buf);
}

ssize_t io_read_small_at(int dirfd, const char *path, char *text, size_t size)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    size_t length = 0;
    while (length < size - 1) {
        ssize_t got = read(fd, text + length, size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    if (length && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    return (ssize_t)length;
}

int io_write_all(int fd, const void *data, size_t length)
{
    const char *at = data;

    while (length) {
        ssize_t put = write(fd, at, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        at += put;
        length -= (size_t)put;
    }
    return 0;
}

int io_write_file_at(int dirfd, const char *path, const char *text)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    size_t length = strlen(text);
    ssize_t put = write(fd, text, length);
    if (put < 0)
        return -errno;
    return (size_t)put == length ? 0 : -EIO;
}

int io_replace_file_at(
        int dirfd, const char *path, const void *data, size_t length, mode_t mode, bool durable)
{
    char temporary[4096];

    if (snprintf(temporary, sizeof(temporary), "%s.%d~", path, getpid()) >= (int)sizeof(temporary))
        return -ENAMETOOLONG;
    _cleanup_close_ int fd =
            openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    int r = io_write_all(fd, data, length);
    if (r == 0 && durable && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(dirfd, temporary, dirfd, path) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(dirfd, temporary, 0);
    return r;
}

void io_fill_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 3)
        close(fd);
}

int io_read_exact(int fd, void *data, size_t length)
{
    char *at = data;
    size_t left = length;

    while (left) {
        ssize_t got = read(fd, at, left);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return left == length ? -ENODATA : -ECONNRESET;
        at += got;
        left -= (size_t)got;
    }
    return 0;
}

int io_make_dirs_at(int dirfd, const char *path, mode_t mode)
{
    char partial[4096];
    size_t length = strlen(path);

    if (length >= sizeof(partial))
        return -ENAMETOOLONG;
    if (mkdirat(dirfd, path, mode) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return -errno;
    memcpy(partial, path, length + 1);
    for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(dirfd, partial, mode) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return mkdirat(dirfd, path, mode) == 0 || errno == EEXIST ? 0 : -errno;
}

/* Folders that are deeper are first moved up to the top: whoever made the tree may have nested it
 * as deep as there are descriptors, or there is stack. */
#define REMOVE_DEPTH_MAX 256

struct removal {
    int top_fd;
    unsigned moved;
};

static int remove_at(struct removal *removal, int dirfd, const char *path, unsigned depth);

static int move_up(struct removal *removal, int dirfd, const char *name)
{
    char fresh[32];
    int r;

    do {
        snprintf(fresh, sizeof(fresh), ".deep-%u", removal->moved++);
        r = renameat2(dirfd, name, removal->top_fd, fresh, RENAME_NOREPLACE);
    } while (r < 0 && errno == EEXIST);
    return r < 0 ? -errno : 0;
}

static int remove_entries(struct removal *removal, DIR *dir, unsigned depth)
{
    struct dirent *entry;
    int result = 0;

    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int r = remove_at(removal, dirfd(dir), entry->d_name, depth + 1);
        if (r < 0 && result == 0)
            result = r;
    }
    return result;
}

static int remove_folder(struct removal *removal, DIR *dir, unsigned depth)
{
    unsigned moved = removal->moved;
    int result = remove_entries(removal, dir, depth);

    while (depth == 0 && result == 0 && removal->moved != moved) {
        moved = removal->moved;
        rewinddir(dir);
        result = remove_entries(removal, dir, depth);
    }
    return result;
}

static int remove_at(struct removal *removal, int dirfd, const char *path, unsigned depth)
{
    if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (depth == REMOVE_DEPTH_MAX)
        return move_up(removal, dirfd, path);
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    if (depth == 0)
        removal->top_fd = fd;
    int result = remove_folder(removal, dir, depth);
    if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT && result == 0)
        result = -errno;
    return result;
}

int io_remove_tree_at(int dirfd, const char *path)
{
    struct removal removal = {.top_fd = -1};

    return remove_at(&removal, dirfd, path, 0);
}

/* What is nested deeper is not counted: whoever made the tree may have used up our stack. */
#define USAGE_DEPTH_MAX 1024

static uint64_t usage_below(int dirfd, const char *path, unsigned depth)
{
    struct stat st;
    struct dirent *entry;

    if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    uint64_t bytes = (uint64_t)st.st_blocks * 512;
    if (!S_ISDIR(st.st_mode))
        return st.st_nlink > 1 ? bytes / st.st_nlink : bytes;
    if (depth == USAGE_DEPTH_MAX)
        return bytes;
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            bytes += usage_below(fd, entry->d_name, depth + 1);
    return bytes;
}

uint64_t io_disk_usage_at(int dirfd, const char *path)
{
    return usage_below(dirfd, path, 0);
}

int io_send_fds(int sock, const void *data, size_t length, const int *fds, size_t count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (count > MAX_FDS)
        return -E2BIG;
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    ssize_t put = sendmsg(sock, &message, MSG_NOSIGNAL);
    if (put < 0)
        return -errno;
    return (size_t)put == length ? 0 : -EMSGSIZE;
}

ssize_t io_receive_fds(int sock, void *data, size_t size, int *fds, size_t max, size_t *ret_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    } control;
    struct iovec iov = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control.bytes,
            .msg_controllen = sizeof(control.bytes)};

    *ret_count = 0;
    ssize_t got = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return -errno;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return got;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    int received[MAX_FDS];
    memcpy(received, CMSG_DATA(header), count * sizeof(int));
    for (size_t i = 0; i < count; i++) {
        if (i < max)
            fds[(*ret_count)++] = received[i];
        else
            close(received[i]); /* more than the caller wanted: not leaked */
    }
    return got;
}
