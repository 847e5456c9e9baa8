#include "vm/share/inodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "base/str.h"
#include "sys/mount.h"

#define CAPACITY_FIRST 64
#define DEPTH_MAX 256 /* names from the root to a file, when it is to be found again */

/* ---- the buckets ---- */

static struct inode **bucket_of(const struct inodes *inodes, dev_t dev, ino_t ino)
{
    uint64_t hash = ((uint64_t)ino + (uint64_t)dev * 31) * 0x9e3779b97f4a7c15ULL;

    return &inodes->buckets[(hash >> 32) & (inodes->capacity - 1)];
}

static void put_in_bucket(struct inodes *inodes, struct inode *inode)
{
    struct inode **bucket = bucket_of(inodes, inode->dev, inode->ino);

    inode->next = *bucket;
    *bucket = inode;
}

static void take_from_bucket(struct inodes *inodes, struct inode *inode)
{
    struct inode **at = bucket_of(inodes, inode->dev, inode->ino);

    while (*at && *at != inode)
        at = &(*at)->next;
    if (*at)
        *at = inode->next;
}

static int grow(struct inodes *inodes)
{
    uint32_t old = inodes->capacity, capacity = old ? old * 2 : CAPACITY_FIRST;

    if (old >= INODES_MAX)
        return -ENFILE;
    struct inode **list = realloc(inodes->list, capacity * sizeof(struct inode *));
    if (!list)
        return -ENOMEM;
    inodes->list = list;
    struct inode **buckets = calloc(capacity, sizeof(struct inode *));
    if (!buckets)
        return -ENOMEM;
    memset(list + old, 0, (capacity - old) * sizeof(struct inode *));
    free(inodes->buckets);
    inodes->buckets = buckets;
    inodes->capacity = capacity;
    inodes->free = old;
    for (uint32_t i = 0; i < old; i++)
        if (list[i])
            put_in_bucket(inodes, list[i]);
    return 0;
}

static int take_number(struct inodes *inodes, struct inode *inode)
{
    /* number 0 means "no file" in the protocol, and is never given */
    if (inodes->count + 1 >= inodes->capacity) {
        int r = grow(inodes);
        if (r < 0)
            return r;
    }
    uint32_t at = inodes->free;
    while (at == 0 || inodes->list[at])
        at = (at + 1) & (inodes->capacity - 1);
    inodes->list[at] = inode;
    inodes->free = (at + 1) & (inodes->capacity - 1);
    inodes->count++;
    inode->id = at;
    return 0;
}

/* ---- descriptors ---- */

static void close_fd(struct inodes *inodes, struct inode *inode)
{
    if (inode->fd < 0)
        return;
    close(inode->fd);
    inode->fd = -1;
    inodes->open--;
}

/* Closes a descriptor that this request does not use. The hand goes round, so that a file's turn
 * comes again only after all others'. */
static void make_room(struct inodes *inodes)
{
    for (uint32_t i = 0; i < inodes->capacity && inodes->open >= inodes->open_max; i++) {
        struct inode *inode = inodes->list[inodes->hand];
        inodes->hand = (inodes->hand + 1) & (inodes->capacity - 1);
        if (inode && inode->fd >= 0 && inode->name && inode->request != inodes->request)
            close_fd(inodes, inode);
    }
}

static bool is_same(const struct inode *inode, const struct stat *st)
{
    return st->st_dev == inode->dev && st->st_ino == inode->ino &&
           (st->st_mode & S_IFMT) == inode->type;
}

static int find_again(struct inodes *inodes, struct inode *inode, int parent_fd)
{
    struct stat st;
    int fd = sys_openat2(parent_fd, inode->name, O_PATH | O_NOFOLLOW, 0,
            RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

    if (fd < 0)
        return fd == -ENOENT ? -ESTALE : fd;
    if (fstat(fd, &st) < 0 || !is_same(inode, &st)) {
        close(fd);
        return -ESTALE;
    }
    make_room(inodes);
    inode->fd = fd;
    inodes->open++;
    return fd;
}

int inodes_fd(struct inodes *inodes, struct inode *inode)
{
    struct inode *chain[DEPTH_MAX];
    unsigned depth = 0;
    struct inode *known = inode; /* the nearest above whose descriptor is open */
    int fd = -1;

    for (; known->fd < 0; known = known->parent) {
        if (!known->name || !known->parent || depth == DEPTH_MAX)
            return -ESTALE;
        chain[depth++] = known;
    }
    known->request = inodes->request;
    fd = known->fd;
    while (depth > 0 && fd >= 0) {
        struct inode *next = chain[--depth];
        next->request = inodes->request;
        fd = find_again(inodes, next, fd);
    }
    return fd;
}

void inodes_begin(struct inodes *inodes)
{
    inodes->request++;
}

/* ---- the life of one ---- */

static void drop(struct inodes *inodes, struct inode *inode)
{
    /* parents lose their last child one after the other, without recursion */
    while (inode && --inode->refs == 0) {
        struct inode *parent = inode->parent;
        take_from_bucket(inodes, inode);
        close_fd(inodes, inode);
        inodes->list[inode->id] = NULL;
        inodes->free = (uint32_t)inode->id;
        inodes->count--;
        free(inode->name);
        free(inode);
        inode = parent;
    }
}

void inodes_ref(struct inode *inode)
{
    inode->refs++;
}

void inodes_unref(struct inodes *inodes, struct inode *inode)
{
    drop(inodes, inode);
}

static int make(struct inodes *inodes, int fd, const struct stat *st, struct inode **ret)
{
    struct inode *inode = calloc(1, sizeof(*inode));
    int r = inode ? take_number(inodes, inode) : -ENOMEM;

    if (r < 0) {
        free(inode);
        return r;
    }
    inode->dev = st->st_dev;
    inode->ino = st->st_ino;
    inode->type = st->st_mode & S_IFMT;
    inode->fd = fd;
    inode->request = inodes->request;
    inodes->open++;
    put_in_bucket(inodes, inode);
    *ret = inode;
    return 0;
}

int inodes_init(struct inodes *inodes, int root_fd, uint32_t open_max, struct error *err)
{
    struct stat st;
    struct inode *root;

    *inodes = (struct inodes){.open_max = open_max, .free = INODES_ROOT};
    int r = fstat(root_fd, &st) < 0 ? -errno : make(inodes, root_fd, &st, &root);
    if (r < 0) {
        close(root_fd);
        return error_sys(err, -r, "look at a shared folder");
    }
    if (root->id != INODES_ROOT || !S_ISDIR(st.st_mode)) {
        inodes_free(inodes);
        return error_set(err, ENOTDIR, "what is to be shared is no folder");
    }
    root->refs = 1;
    return 0;
}

void inodes_reset(struct inodes *inodes)
{
    for (uint32_t i = 0; i < inodes->capacity; i++) {
        struct inode *inode = inodes->list[i];
        if (!inode || i == INODES_ROOT)
            continue;
        close_fd(inodes, inode);
        free(inode->name);
        free(inode);
        inodes->list[i] = NULL;
    }
    if (!inodes->capacity)
        return;
    memset(inodes->buckets, 0, inodes->capacity * sizeof(struct inode *));
    inodes->count = 0;
    inodes->free = INODES_ROOT + 1;
    struct inode *root = inodes->list[INODES_ROOT];
    if (!root)
        return;
    inodes->count = 1;
    root->refs = 1;
    root->lookups = 0;
    put_in_bucket(inodes, root);
}

void inodes_free(struct inodes *inodes)
{
    inodes_reset(inodes);
    struct inode *root = inodes->capacity ? inodes->list[INODES_ROOT] : NULL;
    if (root)
        close_fd(inodes, root);
    free(root);
    free(inodes->list);
    free(inodes->buckets);
    *inodes = (struct inodes){0};
}

struct inode *inodes_get(const struct inodes *inodes, uint64_t id)
{
    return id < inodes->capacity ? inodes->list[id] : NULL;
}

struct inode *inodes_find(const struct inodes *inodes, const struct stat *st)
{
    struct inode *at = *bucket_of(inodes, st->st_dev, st->st_ino);

    while (at && !is_same(at, st))
        at = at->next;
    return at;
}

/* ---- from a snapshot ---- */

static int put_back(struct inodes *inodes, const struct inode_kept *kept)
{
    int r = kept->id > INODES_ROOT && kept->id < INODES_MAX ? 0 : -EBADMSG;

    while (r == 0 && kept->id >= inodes->capacity)
        r = grow(inodes);
    if (r < 0 || inodes->list[kept->id])
        return r < 0 ? r : -EBADMSG;
    struct inode *inode = calloc(1, sizeof(*inode));
    char *name = kept->name ? strdup(kept->name) : NULL;
    if (!inode || (kept->name && !name)) {
        free(inode);
        free(name);
        return -ENOMEM;
    }
    *inode = (struct inode){.id = kept->id,
            .dev = kept->dev,
            .ino = kept->ino,
            .type = kept->type,
            .fd = -1,
            .name = name,
            .lookups = kept->lookups,
            .refs = kept->lookups > 0};
    inodes->list[kept->id] = inode;
    inodes->count++;
    put_in_bucket(inodes, inode);
    return 0;
}

static int put_below(struct inodes *inodes, const struct inode_kept *kept)
{
    struct inode *inode = inodes->list[kept->id], *parent = inodes_get(inodes, kept->parent);

    if (kept->id == INODES_ROOT) {
        inode->lookups = kept->lookups;
        return kept->parent || kept->name ? -EBADMSG : 0;
    }
    if (!kept->parent)
        return kept->name ? -EBADMSG : 0;
    if (!parent || !S_ISDIR(parent->type))
        return -EBADMSG;
    inode->parent = parent;
    parent->refs++;
    return 0;
}

/* Each file's way up ends. Each is marked with the first walk that came by, so that none is walked
 * twice. */
static bool has_no_loop(const struct inodes *inodes)
{
    for (uint32_t i = 0; i < inodes->capacity; i++) {
        struct inode *at = inodes->list[i];
        while (at && !at->request) {
            at->request = i + 1;
            at = at->parent;
        }
        /* a walk of before, which ended, or this one's own beginning */
        if (at && at->request == i + 1)
            return false;
    }
    for (uint32_t i = 0; i < inodes->capacity; i++)
        if (inodes->list[i])
            inodes->list[i]->request = 0;
    return true;
}

int inodes_put_back(struct inodes *inodes, const struct inode_kept *list, size_t count)
{
    bool root = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        bool is_root = list[i].id == INODES_ROOT;
        r = is_root ? (root ? -EBADMSG : 0) : put_back(inodes, &list[i]);
        root |= is_root;
    }
    for (size_t i = 0; r == 0 && i < count; i++)
        r = put_below(inodes, &list[i]);
    if (r == 0 && (!root || !has_no_loop(inodes)))
        r = -EBADMSG;
    return r;
}

void inodes_drop_unused(struct inodes *inodes)
{
    for (uint32_t i = INODES_ROOT + 1; i < inodes->capacity; i++) {
        struct inode *inode = inodes->list[i];
        if (!inode || inode->refs)
            continue;
        inode->refs = 1; /* so that dropping it drops what only it needs above it */
        drop(inodes, inode);
    }
}

/* ---- names ---- */

/* A folder may have moved on the host between two looks of the guest: no loop comes of that. */
static bool is_above(const struct inode *inode, const struct inode *below)
{
    for (const struct inode *at = below; at; at = at->parent)
        if (at == inode)
            return true;
    return false;
}

static void set_name(
        struct inodes *inodes, struct inode *inode, struct inode *parent, const char *name)
{
    if (inode->id == INODES_ROOT)
        return;
    if (inode->parent == parent && str_equal(inode->name, name))
        return;
    if (inode->parent != parent && is_above(inode, parent))
        return;
    char *copy = strdup(name);
    if (!copy)
        return; /* it keeps the old one: at worst it is not found again */
    free(inode->name);
    inode->name = copy;
    struct inode *old = inode->parent;
    if (old == parent)
        return;
    inode->parent = parent;
    parent->refs++;
    if (old)
        drop(inodes, old);
}

int inodes_enter(struct inodes *inodes, struct inode *parent, const char *name, int fd,
        const struct stat *st, struct inode **ret)
{
    struct inode *inode = inodes_find(inodes, st);
    int r = 0;

    if (inode) {
        if (inode->fd < 0) {
            inode->fd = fd;
            inodes->open++;
        } else {
            close(fd);
        }
        inode->request = inodes->request;
    } else {
        r = make(inodes, fd, st, &inode);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    if (inode->lookups++ == 0)
        inode->refs++;
    set_name(inodes, inode, parent, name);
    make_room(inodes);
    *ret = inode;
    return 0;
}

void inodes_forget(struct inodes *inodes, struct inode *inode, uint64_t times)
{
    if (inode->lookups == 0)
        return;
    inode->lookups -= times < inode->lookups ? times : inode->lookups;
    if (inode->lookups == 0)
        drop(inodes, inode);
}

void inodes_about_to_lose_name(struct inodes *inodes, struct inode *parent, const char *name)
{
    struct stat st;
    int fd = inodes_fd(inodes, parent);

    if (fd < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    struct inode *inode = inodes_find(inodes, &st);
    if (!inode || inode->parent != parent || !str_equal(inode->name, name) ||
            inodes_fd(inodes, inode) < 0)
        return;
    free(inode->name);
    inode->name = NULL;
}

void inodes_renamed(
        struct inodes *inodes, struct inode *inode, struct inode *parent, const char *name)
{
    set_name(inodes, inode, parent, name);
}
