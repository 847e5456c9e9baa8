#include "security/seccomp_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#define MAGIC UINT64_C(0x0143425053564956) /* "VIVSPBC" and the format's number, 1 */
#define NOTES_MAX ((uint32_t)64 << 10)
#define CODE_MAX 4096 /* BPF_MAXINSNS */

struct header {
    uint64_t magic;
    uint64_t check; /* hash of all that follows the header */
    uint32_t key_length;
    uint32_t count;
    uint32_t flags;
    uint32_t notes_length;
};

/* Eight bytes at a time, each mixed in by a multiplication: for names of files and against damage,
 * not against attackers, who cannot write to the directory. */
static uint64_t hash_bytes(const void *data, size_t length)
{
    const unsigned char *at = data;
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ length;

    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, at, length);
    hash = (hash ^ rest) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 29;
}

void seccomp_cache_name(const void *key, size_t key_length, char name[17])
{
    snprintf(name, 17, "%016llx", (unsigned long long)hash_bytes(key, key_length));
}

/* Whether nobody else could have written it. */
static bool is_ours(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int seccomp_cache_open(const char *path, struct error *err)
{
    struct stat status;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_sys(err, errno, "make the seccomp cache \"%s\"", path);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open the seccomp cache \"%s\"", path);
    if (fstat(fd, &status) < 0)
        return error_sys(err, errno, "look at the seccomp cache \"%s\"", path);
    if (!is_ours(&status))
        return error_set(err, EPERM,
                "the seccomp cache \"%s\" belongs to uid %u and has mode %03o: it has to be our "
                "own "
                "and closed to others",
                path, status.st_uid, status.st_mode & 0777);
    return take_fd(&fd);
}

/* The whole file in the arena, if it is a file of ours with the size that it says it has. */
static int read_file(struct arena *arena, int fd, size_t key_length, struct header **ret)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    size_t smallest = sizeof(struct header) + key_length;
    size_t largest = smallest + CODE_MAX * sizeof(struct sock_filter) + NOTES_MAX;
    if (!S_ISREG(status.st_mode) || !is_ours(&status) || (size_t)status.st_size < smallest ||
            (size_t)status.st_size > largest)
        return -EPERM;
    size_t size = (size_t)status.st_size;
    struct header *header = arena_alloc(arena, size + 1);
    if (io_read_exact(fd, header, size) < 0)
        return -EIO;
    size_t expected =
            smallest + (size_t)header->count * sizeof(struct sock_filter) + header->notes_length;
    if (header->magic != MAGIC || header->key_length != key_length || header->count == 0 ||
            header->count > CODE_MAX || header->notes_length > NOTES_MAX || expected != size)
        return -EBADMSG;
    if (header->check != hash_bytes(header + 1, size - sizeof(*header)))
        return -EBADMSG;
    *ret = header;
    return 0;
}

int seccomp_cache_load(struct arena *arena, int dirfd, const void *key, size_t key_length,
        struct seccomp_cached *ret)
{
    struct header *header = NULL;
    char name[17];

    seccomp_cache_name(key, key_length, name);
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = read_file(arena, fd, key_length, &header);
    if (r < 0 || !header)
        return r < 0 ? r : -EIO;
    const char *code = (const char *)(header + 1);
    const char *notes = code + (size_t)header->count * sizeof(struct sock_filter);
    const char *stored_key = notes + header->notes_length;
    if (memcmp(stored_key, key, key_length) != 0)
        return -ENOENT;
    *ret = (struct seccomp_cached){
            .code = (const struct sock_filter *)code,
            .count = header->count,
            .flags = header->flags,
            .notes = arena_strndup(arena, notes, header->notes_length),
    };
    return 0;
}

/* Empties a full cache. */
static int make_room(int dirfd)
{
    _cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    size_t count = 0;

    if (!dir)
        return -errno;
    take_fd(&fd); /* the stream's from here on */
    while ((entry = readdir(dir)))
        count += *entry->d_name != '.';
    if (count < SECCOMP_CACHE_FILES_MAX)
        return 0;
    rewinddir(dir);
    while ((entry = readdir(dir)))
        if (*entry->d_name != '.')
            unlinkat(dirfd, entry->d_name, 0);
    return 0;
}

int seccomp_cache_store(
        int dirfd, const void *key, size_t key_length, const struct seccomp_cached *filter)
{
    struct header header = {
            .magic = MAGIC,
            .key_length = (uint32_t)key_length,
            .count = filter->count,
            .flags = filter->flags,
            .notes_length = (uint32_t)strlen(filter->notes),
    };
    _cleanup_buf_ struct buf file = {0};
    char name[17];

    if (header.notes_length > NOTES_MAX || header.count > CODE_MAX)
        return -E2BIG;
    buf_add(&file, &header, sizeof(header));
    buf_add(&file, filter->code, filter->count * sizeof(*filter->code));
    buf_add(&file, filter->notes, header.notes_length);
    buf_add(&file, key, key_length);
    if (file.overflow)
        return -E2BIG;
    header.check = hash_bytes(file.data + sizeof(header), file.length - sizeof(header));
    memcpy(file.data, &header, sizeof(header));
    int r = make_room(dirfd);
    if (r < 0)
        return r;
    seccomp_cache_name(key, key_length, name);
    return io_replace_file_at(dirfd, name, file.data, file.length, 0600, false);
}
