#include "image/tarout.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

#define CHUNK ((size_t)256 << 10)
#define XATTR_MAX ((size_t)64 << 10)
#define DEPTH_MAX 1024
#define PATH_SIZE 8192
#define BLOCK 512
#define LINK_BUCKETS 4096
#define OCTAL_MAX(digits) ((UINT64_C(1) << (3 * (digits))) - 1)

/* A header of POSIX.1-1988 (ustar); what does not fit goes into a pax record before it. */
struct header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char linkname[100];
    char magic[8];
    char uname[32];
    char gname[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

/* The first name of a file that has several. */
struct link {
    struct link *next;
    dev_t device;
    ino_t inode;
    const char *path;
};

struct tarout {
    int fd;
    struct digest_state digest;
    uint64_t bytes;
    struct buf pending; /* not written yet */
    char *chunk;
    struct arena arena;
    struct link *links[LINK_BUCKETS];
};

/* What is to be written of one entry. */
struct item {
    const char *path;
    const char *link; /* of a symbolic or hard one */
    char type;
    mode_t mode;
    uint64_t uid, gid;
    uint64_t size; /* of what follows in the archive */
    struct timespec mtime;
    dev_t device;
    struct buf records; /* of pax, those of attributes and holes */
};

int tarout_open(int fd, struct tarout **ret, struct error *err)
{
    _cleanup_tarout_ struct tarout *out = calloc(1, sizeof(*out));

    if (!out)
        return error_set(err, ENOMEM, "out of memory");
    out->fd = fd;
    out->pending.max = 2 * CHUNK;
    out->arena.limit = (size_t)1 << 30;
    out->chunk = malloc(CHUNK);
    if (!out->chunk)
        return error_set(err, ENOMEM, "out of memory");
    digest_start(&out->digest, NULL);
    *ret = take_ptr(out);
    return 0;
}

void tarout_close(struct tarout *out)
{
    if (!out)
        return;
    buf_free(&out->pending);
    arena_free(&out->arena);
    free(out->chunk);
    free(out);
}

static int write_out(struct tarout *out, const void *data, size_t length, struct error *err)
{
    int r = io_write_all(out->fd, data, length);

    if (r < 0)
        return error_sys(err, -r, "write the archive");
    digest_add(&out->digest, data, length);
    out->bytes += length;
    return 0;
}

static int flush(struct tarout *out, struct error *err)
{
    int r = write_out(out, buf_text(&out->pending), out->pending.length, err);

    buf_clear(&out->pending);
    return r;
}

/* Small pieces are gathered; a large one goes out by itself, behind what was gathered before it. */
static int put(struct tarout *out, const void *data, size_t length, struct error *err)
{
    bool large = length >= CHUNK / 2;
    int r = 0;

    if (large || out->pending.length + length > CHUNK)
        r = flush(out, err);
    if (r == 0 && large)
        return write_out(out, data, length, err);
    if (r == 0)
        buf_add(&out->pending, data, length);
    return r;
}

static int put_padding(struct tarout *out, uint64_t size, struct error *err)
{
    static const char zeros[BLOCK];
    size_t over = (size_t)(size % BLOCK);

    return over ? put(out, zeros, BLOCK - over, err) : 0;
}

int tarout_finish(struct tarout *out, char *digest, uint64_t *ret_bytes, struct error *err)
{
    static const char end[2 * BLOCK];

    int r = put(out, end, sizeof(end), err);
    if (r == 0)
        r = flush(out, err);
    if (r < 0)
        return r;
    if (digest)
        digest_end(&out->digest, digest);
    if (ret_bytes)
        *ret_bytes = out->bytes;
    return 0;
}

/* --- Headers
 * --------------------------------------------------------------------------------------- */

/* "LENGTH KEY=VALUE\n", the length counting itself. */
static void add_record(struct buf *records, const char *key, const void *value, size_t length)
{
    size_t rest = strlen(key) + length + 3; /* blank, '=', newline */
    size_t total = rest + 1;

    for (size_t i = 0; i < 4; i++) {
        char digits[24];
        total = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total);
    }
    buf_printf(records, "%zu %s=", total, key);
    buf_add(records, value, length);
    buf_add_char(records, '\n');
}

static void add_text_record(struct buf *records, const char *key, const char *value)
{
    add_record(records, key, value, strlen(value));
}

static void add_number_record(struct buf *records, const char *key, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    add_text_record(records, key, digits);
}

static void set_octal(char *field, size_t digits, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%0*" PRIo64, (int)digits, value & OCTAL_MAX(digits));
    memcpy(field, text, digits);
}

/* A number that fits its field goes there, else into a record. */
static void set_number(
        struct buf *records, char *field, size_t digits, const char *key, uint64_t value)
{
    bool fits = value <= OCTAL_MAX(digits);

    set_octal(field, digits, fits ? value : 0);
    if (!fits)
        add_number_record(records, key, value);
}

static void set_text(
        struct buf *records, char *field, size_t size, const char *key, const char *value)
{
    size_t length = strlen(value);

    memcpy(field, value, length < size ? length : size);
    if (length > size)
        add_text_record(records, key, value);
}

static void set_checksum(struct header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    unsigned sum = 0;

    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < sizeof(*header); i++)
        sum += bytes[i];
    set_octal(header->checksum, 6, sum);
    header->checksum[6] = '\0';
}

static void fill_header(struct header *header, struct item *item)
{
    struct buf *records = &item->records;
    char seconds[48];

    memcpy(header->magic, "ustar\00000", 8);
    header->type = item->type;
    set_text(records, header->name, sizeof(header->name), "path", item->path);
    if (item->link)
        set_text(records, header->linkname, sizeof(header->linkname), "linkpath", item->link);
    set_octal(header->mode, 7, item->mode & 07777);
    set_number(records, header->uid, 7, "uid", item->uid);
    set_number(records, header->gid, 7, "gid", item->gid);
    set_number(records, header->size, 11, "size", item->size);
    if (item->type == '3' || item->type == '4') {
        set_octal(header->major, 7, major(item->device));
        set_octal(header->minor, 7, minor(item->device));
    }
    bool plain_time = item->mtime.tv_sec >= 0 && item->mtime.tv_nsec == 0;
    set_octal(header->mtime, 11, item->mtime.tv_sec < 0 ? 0 : (uint64_t)item->mtime.tv_sec);
    if (!plain_time) {
        snprintf(seconds, sizeof(seconds), "%lld.%09ld", (long long)item->mtime.tv_sec,
                item->mtime.tv_nsec);
        add_text_record(records, "mtime", seconds);
    }
}

/* The records stand before the header, as the content of an entry of their own. */
static int put_records(struct tarout *out, const struct buf *records, struct error *err)
{
    struct header header = {.type = 'x'};

    if (records->overflow)
        return error_set(err, E2BIG, "an entry has more attributes than an archive takes");
    memcpy(header.name, "PaxHeaders", 10);
    memcpy(header.magic, "ustar\00000", 8);
    set_octal(header.mode, 7, 0644);
    set_octal(header.uid, 7, 0);
    set_octal(header.gid, 7, 0);
    set_octal(header.mtime, 11, 0);
    set_octal(header.size, 11, records->length);
    set_checksum(&header);
    int r = put(out, &header, sizeof(header), err);
    if (r == 0)
        r = put(out, buf_text(records), records->length, err);
    return r < 0 ? r : put_padding(out, records->length, err);
}

static int put_header(struct tarout *out, struct item *item, struct error *err)
{
    struct header header = {.type = 0};
    int r = 0;

    fill_header(&header, item);
    set_checksum(&header);
    if (item->records.length)
        r = put_records(out, &item->records, err);
    if (r == 0)
        r = put(out, &header, sizeof(header), err);
    buf_free(&item->records);
    return r;
}

static int add_plain(struct tarout *out, const char *path, char type, mode_t mode, uint64_t size,
        struct error *err)
{
    struct item item = {.path = path, .type = type, .mode = mode, .size = size};

    return put_header(out, &item, err);
}

int tarout_add_text(
        struct tarout *out, const char *path, const void *data, size_t length, struct error *err)
{
    int r = add_plain(out, path, '0', 0644, length, err);

    if (r == 0)
        r = put(out, data, length, err);
    return r < 0 ? r : put_padding(out, length, err);
}

int tarout_add_folder(struct tarout *out, const char *path, struct error *err)
{
    char slash[4096];

    snprintf(slash, sizeof(slash), "%s/", path);
    return add_plain(out, slash, '5', 0755, 0, err);
}

/* Exactly `size` bytes: a file that changes meanwhile must not spoil the archive. */
static int copy_fd(struct tarout *out, const char *path, int fd, uint64_t size, struct error *err)
{
    while (size) {
        ssize_t got = read(fd, out->chunk, size < CHUNK ? (size_t)size : CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read \"%s\"", path);
        if (got == 0)
            return error_set(err, EIO, "\"%s\" became shorter while it was read", path);
        int r = put(out, out->chunk, (size_t)got, err);
        if (r < 0)
            return r;
        size -= (uint64_t)got;
    }
    return 0;
}

int tarout_add_fd(struct tarout *out, const char *path, int fd, uint64_t size, struct error *err)
{
    int r = add_plain(out, path, '0', 0644, size, err);

    if (r == 0)
        r = copy_fd(out, path, fd, size, err);
    return r < 0 ? r : put_padding(out, size, err);
}

int tarout_add_codec(struct tarout *out, const char *path, struct codec_reader *codec,
        uint64_t size, struct error *err)
{
    const void *piece;
    uint64_t done = 0;
    ssize_t got;

    int r = add_plain(out, path, '0', 0644, size, err);
    while (r == 0 && (got = codec_read(codec, &piece, err)) != 0) {
        if (got < 0)
            return (int)got;
        done += (uint64_t)got;
        r = done > size ? -EBADMSG : put(out, piece, (size_t)got, err);
    }
    if (r == -EBADMSG || (r == 0 && done != size))
        return error_set(
                err, EBADMSG, "\"%s\" is not as large as it was when it was unpacked", path);
    return r < 0 ? r : put_padding(out, size, err);
}

/* --- Trees
 * ---------------------------------------------------------------------------------------- */

/* The paths and targets are here and not in the functions, which call each other for each level of
 * a tree that a sandbox has nested as deep as it likes. */
struct tree {
    struct tarout *out;
    bool layer;
    bool live; /* of a sandbox that may be running: with mounts of the kernel's in it */
    unsigned depth;
    char path[PATH_SIZE]; /* of the entry at hand */
    char target[4096];
};

/* Stretches of data in a file with holes. */
struct extents {
    struct {
        off_t at;
        off_t length;
    } * items;
    size_t count;
    size_t room;
    uint64_t data;
};

bool tarout_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool tarout_is_opaque(int fd)
{
    char value[2];

    return (fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
                   value[0] == 'y') ||
           (fgetxattr(fd, "user.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y');
}

/* What is the host's own business stays here. */
static bool xattr_wanted(const char *name)
{
    return str_starts(name, "user.") ? !str_starts(name, "user.overlay.")
                                     : str_equal(name, "security.capability");
}

/* `fd` is an O_PATH descriptor, which /proc turns into a path that cannot be exchanged. */
static int add_xattrs(struct item *item, int fd, struct error *err)
{
    _cleanup_free_ char *names = malloc(XATTR_MAX);
    _cleanup_free_ char *value = malloc(XATTR_MAX);
    char path[64];

    if (!names || !value)
        return error_set(err, ENOMEM, "out of memory");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t length = listxattr(path, names, XATTR_MAX);
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        char key[300];
        if (!xattr_wanted(names + at))
            continue;
        ssize_t size = getxattr(path, names + at, value, XATTR_MAX);
        snprintf(key, sizeof(key), "SCHILY.xattr.%s", names + at);
        if (size >= 0)
            add_record(&item->records, key, value, (size_t)size);
    }
    return 0;
}

static void find_extents(
        struct arena *arena, int fd, const struct stat *st, struct extents *extents)
{
    for (off_t at = 0; at < st->st_size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0)
            break;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0 || hole > st->st_size)
            hole = st->st_size;
        extents->items = arena_grow(
                arena, extents->items, extents->count, &extents->room, sizeof(*extents->items));
        extents->items[extents->count].at = data;
        extents->items[extents->count++].length = hole - data;
        extents->data += (uint64_t)(hole - data);
        at = hole;
    }
}

/* GNU's sparse format 1.0: a map in front of the data, both being the entry's content. */
static int put_sparse(struct tarout *out, struct item *item, int fd, const struct stat *st,
        struct extents *extents, struct error *err)
{
    _cleanup_buf_ struct buf map = {0};
    const char *path = item->path;

    buf_printf(&map, "%zu\n", extents->count);
    for (size_t i = 0; i < extents->count; i++)
        buf_printf(&map, "%lld\n%lld\n", (long long)extents->items[i].at,
                (long long)extents->items[i].length);
    while (map.length % BLOCK)
        buf_add_char(&map, '\0');
    add_text_record(&item->records, "GNU.sparse.major", "1");
    add_text_record(&item->records, "GNU.sparse.minor", "0");
    add_text_record(&item->records, "GNU.sparse.name", path);
    add_number_record(&item->records, "GNU.sparse.realsize", (uint64_t)st->st_size);
    item->size = map.length + extents->data;
    int r = map.overflow ? error_set(err, E2BIG, "\"%s\" has too many holes", path)
                         : put_header(out, item, err);
    if (r == 0)
        r = put(out, map.data, map.length, err);
    for (size_t i = 0; i < extents->count && r == 0; i++) {
        if (lseek(fd, extents->items[i].at, SEEK_SET) < 0)
            return error_sys(err, errno, "lseek");
        r = copy_fd(out, path, fd, (uint64_t)extents->items[i].length, err);
    }
    return r < 0 ? r : put_padding(out, extents->data, err);
}

/* What the descriptor stands for was seen to be a regular file: opening a device or a FIFO that
 * took its name meanwhile could do anything. */
static int reopen_file(int fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int put_file(
        struct tree *tree, struct item *item, int node, const struct stat *st, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct extents extents = {0};

    _cleanup_close_ int fd = reopen_file(node);
    if (fd < 0)
        return error_sys(err, errno, "open \"%s\"", item->path);
    if (st->st_blocks * BLOCK < st->st_size) {
        find_extents(&arena, fd, st, &extents);
        if (extents.data < (uint64_t)st->st_size)
            return put_sparse(tree->out, item, fd, st, &extents, err);
        lseek(fd, 0, SEEK_SET);
    }
    item->size = (uint64_t)st->st_size;
    int r = put_header(tree->out, item, err);
    if (r == 0)
        r = copy_fd(tree->out, item->path, fd, item->size, err);
    return r < 0 ? r : put_padding(tree->out, item->size, err);
}

/* The path by which this file is in the archive already; NULL if this is its first name. */
static const char *earlier_name(struct tarout *out, const struct stat *st, const char *path)
{
    struct link **bucket = &out->links[st->st_ino % LINK_BUCKETS];

    if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
        return NULL;
    for (struct link *link = *bucket; link; link = link->next)
        if (link->inode == st->st_ino && link->device == st->st_dev)
            return link->path;
    struct link *link = arena_new(&out->arena, struct link);
    *link = (struct link){*bucket, st->st_dev, st->st_ino, arena_strdup(&out->arena, path)};
    *bucket = link;
    return NULL;
}

static char type_letter(mode_t mode)
{
    static const struct {
        mode_t kind;
        char letter;
    } letters[] = {{S_IFREG, '0'}, {S_IFLNK, '2'}, {S_IFCHR, '3'}, {S_IFBLK, '4'}, {S_IFDIR, '5'},
            {S_IFIFO, '6'}};

    for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
        if ((mode & S_IFMT) == letters[i].kind)
            return letters[i].letter;
    return '\0';
}

static int add_tree(struct tree *tree, int dirfd, size_t prefix, struct error *err);

/* What is there is the kernel's answer to whoever asks, and no file to be kept. */
static bool is_kernels(int fd)
{
    static const long kinds[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
            CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC,
            BPF_FS_MAGIC, SELINUX_MAGIC, EFIVARFS_MAGIC, PSTOREFS_MAGIC, BINFMTFS_MAGIC,
            NSFS_MAGIC};
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if ((long)fs.f_type == kinds[i])
            return true;
    return false;
}

/* Puts a name below the path, which is so long; its new length. */
static int enter_name(struct tree *tree, size_t length, const char *mark, const char *name)
{
    int added = snprintf(
            tree->path + length, PATH_SIZE - length, "%s%s%s", length ? "/" : "", mark, name);

    return added >= (int)(PATH_SIZE - length) - 1 /* a folder's slash */
                   ? -ENAMETOOLONG
                   : (int)length + added;
}

/* The node is let go of: a deep tree would take two descriptors for each level otherwise. */
static int put_folder(
        struct tree *tree, struct item *item, int *node, size_t length, struct error *err)
{
    _cleanup_close_ int fd = openat(*node, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, errno, "open \"%s\"", tree->path);
    memcpy(tree->path + length, "/", 2);
    int r = put_header(tree->out, item, err);
    tree->path[length] = '\0';
    cleanup_close(node);
    if (r < 0 || (tree->live && is_kernels(fd)))
        return r;
    return add_tree(tree, fd, length, err);
}

static int put_other(
        struct tree *tree, struct item *item, int node, const struct stat *st, struct error *err)
{
    if (S_ISLNK(st->st_mode)) {
        ssize_t length = readlinkat(node, "", tree->target, sizeof(tree->target) - 1);
        if (length < 0)
            return error_sys(err, errno, "read the link \"%s\"", item->path);
        tree->target[length] = '\0';
        item->link = tree->target;
    }
    return put_header(tree->out, item, err);
}

/* By the tree's path, which is so long. */
static int add_node(
        struct tree *tree, int *node, size_t length, const struct stat *st, struct error *err)
{
    struct item item = {.path = tree->path,
            .type = type_letter(st->st_mode),
            .mode = st->st_mode,
            .uid = st->st_uid,
            .gid = st->st_gid,
            .mtime = st->st_mtim,
            .device = st->st_rdev};

    item.link = earlier_name(tree->out, st, tree->path);
    if (item.link) {
        item.type = '1';
        return put_header(tree->out, &item, err);
    }
    int r = S_ISLNK(st->st_mode) ? 0 : add_xattrs(&item, *node, err);
    if (r < 0) {
        buf_free(&item.records);
        return r;
    }
    if (S_ISREG(st->st_mode))
        return put_file(tree, &item, *node, st, err);
    if (!S_ISDIR(st->st_mode))
        return put_other(tree, &item, *node, st, err);
    return put_folder(tree, &item, node, length, err);
}

/* Found once by its name; from then on it is its descriptor, whatever the name stands for. */
static int add_child(
        struct tree *tree, int dirfd, const char *name, size_t prefix, struct error *err)
{
    struct stat st;

    _cleanup_close_ int node = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (node < 0 || fstat(node, &st) < 0)
        return errno == ENOENT
                       ? 0
                       : error_sys(err, errno, "open \"%.*s/%s\"", (int)prefix, tree->path, name);
    bool whiteout = tree->layer && tarout_is_whiteout(&st);
    int length = enter_name(tree, prefix, whiteout ? ".wh." : "", name);
    if (length < 0)
        return error_set(err, -length, "\"%.*s/%s\" is too long", (int)prefix, tree->path, name);
    if (whiteout)
        return tarout_add_text(tree->out, tree->path, "", 0, err);
    if (S_ISSOCK(st.st_mode))
        return 0;
    return add_node(tree, &node, (size_t)length, &st, err);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_names(int dirfd, struct arena *arena, struct strv *names, struct error *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir)
        return error_sys(err, errno, "open a folder");
    while ((entry = readdir(dir)))
        if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
            strv_add(arena, names, entry->d_name);
    if (names->count)
        qsort(names->words, names->count, sizeof(char *), compare);
    return 0;
}

/* What is in a folder, whose path is the tree's up to that length. */
static int add_tree(struct tree *tree, int dirfd, size_t prefix, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv names = {0};

    if (tree->depth == DEPTH_MAX)
        return error_set(err, ELOOP, "folders are nested more than %d deep", DEPTH_MAX);
    tree->depth++;
    int r = list_names(dirfd, &arena, &names, err);
    if (r == 0 && tree->layer && tarout_is_opaque(dirfd) &&
            enter_name(tree, prefix, ".wh.", ".wh..opq") > 0)
        r = tarout_add_text(tree->out, tree->path, "", 0, err);
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = add_child(tree, dirfd, names.words[i], prefix, err);
    tree->path[prefix] = '\0';
    tree->depth--;
    return r;
}

int tarout_add_tree(struct tarout *out, int dirfd, bool layer, struct error *err)
{
    struct tree tree = {.out = out, .layer = layer};

    return add_tree(&tree, dirfd, 0, err);
}

int tarout_add_node(struct tarout *out, int fd, const char *as, struct error *err)
{
    struct tree tree = {.out = out, .live = true};
    struct stat st;

    _cleanup_close_ int node = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (node < 0 || fstat(node, &st) < 0)
        return error_sys(err, errno, "look at what is to be copied");
    if (is_kernels(node))
        return error_set(err, EOPNOTSUPP,
                "it belongs to a file system of the kernel's (/proc, /sys …), whose files cannot "
                "be copied: read it inside, with `viv exec`");
    if (S_ISSOCK(st.st_mode))
        return error_set(err, EOPNOTSUPP, "it is a socket, which cannot be copied");
    if (*as) {
        int length = enter_name(&tree, 0, "", as);
        return length < 0 ? error_set(err, -length, "\"%s\" is too long", as)
                          : add_node(&tree, &node, (size_t)length, &st, err);
    }
    _cleanup_close_ int folder = openat(node, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder < 0 ? error_sys(err, errno, "open the folder") : add_tree(&tree, folder, 0, err);
}
