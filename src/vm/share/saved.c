/*
 * A share in a snapshot: the request that it was mounted with, the files that the guest knows, and
 * what it has open, one after the other. What is read is hostile: load() looks at each length and
 * each number before anything uses it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "vm/share/ops.h"

#define VERSION 1
#define KEPT_FLAGS (O_ACCMODE | O_APPEND) /* truncating and making are done */

struct head {
    uint32_t version;
    uint32_t init_length;
    uint32_t files, handles;
    uint64_t root_dev; /* a file of this device is one of the folder's own, whatever that has now */
} __attribute__((packed));

/* The name's bytes follow. */
struct file_head {
    uint64_t id, parent, lookups, dev, ino;
    uint32_t type;
    uint16_t name_length; /* 0: it has none */
} __attribute__((packed));

struct handle_head {
    uint64_t id, file;
    uint32_t flags;
} __attribute__((packed));

/* ---- saving ---- */

int share_check_keepable(const struct share *share, struct error *err)
{
    for (uint32_t i = 0; i < share->handles.capacity; i++) {
        const struct handle *handle = share->handles.list[i];
        if (handle && !handle->inode->name && handle->inode->id != INODES_ROOT &&
                !share->starts_anew)
            return error_set(err, EBUSY,
                    "the guest has a file open that was removed, which no snapshot can keep; end "
                    "the process that holds it (the guest's /proc/PID/fd says \"deleted\"), or "
                    "let it close the file");
    }
    return 0;
}

static void save_file(const struct inode *inode, struct buf *out)
{
    struct file_head head = {
            .id = inode->id,
            .parent = inode->name && inode->parent ? inode->parent->id : 0,
            .lookups = inode->lookups,
            .dev = inode->dev,
            .ino = inode->ino,
            .type = inode->type,
            .name_length = inode->name ? (uint16_t)strlen(inode->name) : 0,
    };

    buf_add(out, &head, sizeof(head));
    if (inode->name)
        buf_add(out, inode->name, head.name_length);
}

void share_save(const struct share *share, struct buf *out)
{
    const struct inodes *inodes = &share->inodes;
    const struct handles *handles = &share->handles;
    struct head head = {.version = VERSION,
            .init_length = share->init_length,
            .files = inodes->count,
            .root_dev = inodes->list[INODES_ROOT]->dev};

    if (!share->mounted || share->starts_anew)
        return;
    for (uint32_t i = 0; i < handles->capacity; i++)
        head.handles += handles->list[i] != NULL;
    buf_add(out, &head, sizeof(head));
    buf_add(out, share->init, share->init_length);
    for (uint32_t i = 0; i < inodes->capacity; i++)
        if (inodes->list[i])
            save_file(inodes->list[i], out);
    for (uint32_t i = 0; i < handles->capacity; i++) {
        const struct handle *handle = handles->list[i];
        if (!handle)
            continue;
        struct handle_head kept = {i, handle->inode->id, (uint32_t)(handle->flags & KEPT_FLAGS)};
        buf_add(out, &kept, sizeof(kept));
    }
}

/* ---- loading ---- */

struct cursor {
    const char *at;
    size_t left;
};

static const char *skip(struct cursor *cursor, size_t length)
{
    const char *at = cursor->at;

    if (length > cursor->left)
        return NULL;
    cursor->at += length;
    cursor->left -= length;
    return at;
}

static bool take(struct cursor *cursor, void *into, size_t length)
{
    const char *at = skip(cursor, length);

    if (at)
        memcpy(into, at, length);
    return at;
}

/* What the guest mounted with, as it came once: the same gate has looked at it then. */
static int load_mount(struct share *share, struct cursor *cursor, uint32_t length)
{
    struct fuse_in_header in;

    if (length > INIT_MAX || length < sizeof(in) || !take(cursor, share->init, length))
        return -EBADMSG;
    memcpy(&in, share->init, sizeof(in));
    if (in.opcode != FUSE_INIT || in.len < length)
        return -EBADMSG;
    in.len = length;
    memcpy(share->init, &in, sizeof(in));
    share->init_length = length;
    share_mount_again(share);
    return share->mounted ? 0 : -EBADMSG;
}

static bool take_file(
        struct cursor *cursor, struct arena *arena, uint64_t root_dev, struct inode_kept *ret)
{
    struct file_head head;
    const char *name;

    if (!take(cursor, &head, sizeof(head)) || !(name = skip(cursor, head.name_length)))
        return false;
    *ret = (struct inode_kept){
            .id = head.id,
            .parent = head.parent,
            .lookups = head.lookups,
            .dev = head.dev,
            .ino = head.ino,
            .type = head.type,
            .name = head.name_length ? arena_strndup(arena, name, head.name_length) : NULL,
    };
    if (head.dev == root_dev)
        ret->dev = 0; /* the root's, as it is now */
    return !ret->name || (strlen(ret->name) == head.name_length && share_name_is_good(ret->name));
}

/* A name of a fixed folder stands for what this start has put there: a file that was made anew for
 * it (/etc/resolv.conf) is the one that the guest knows. */
static void adopt(struct share *share, struct inode_kept *kept)
{
    struct stat st;
    int root = inodes_fd(&share->inodes, share->inodes.list[INODES_ROOT]);

    if (share->fixed && kept->parent == INODES_ROOT && kept->name && root >= 0 &&
            fstatat(root, kept->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (st.st_mode & S_IFMT) == kept->type) {
        kept->dev = st.st_dev;
        kept->ino = st.st_ino;
    }
}

static int load_files(struct share *share, struct cursor *cursor, const struct head *head)
{
    _cleanup_arena_ struct arena arena = {0};
    dev_t dev = share->inodes.list[INODES_ROOT]->dev;

    if (head->files > cursor->left / sizeof(struct file_head))
        return -EBADMSG;
    struct inode_kept *list = arena_new_array(&arena, struct inode_kept, head->files);
    for (uint32_t i = 0; i < head->files; i++) {
        if (!take_file(cursor, &arena, head->root_dev, &list[i]))
            return -EBADMSG;
        if (!list[i].dev)
            list[i].dev = dev;
        adopt(share, &list[i]);
    }
    return inodes_put_back(&share->inodes, list, head->files);
}

static int load_handles(struct share *share, struct cursor *cursor, uint32_t count)
{
    struct handle_head head;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < count; i++) {
        if (!take(cursor, &head, sizeof(head)))
            return -EBADMSG;
        struct inode *inode = inodes_get(&share->inodes, head.file);
        bool good = inode && !(head.flags & ~(uint32_t)KEPT_FLAGS) &&
                    !(share->read_only && head.flags & O_ACCMODE);
        r = good ? handles_put_back(&share->handles, inode, head.id, (int)head.flags) : -EBADMSG;
    }
    return r;
}

int share_load(struct share *share, const void *data, size_t length, struct error *err)
{
    struct cursor cursor = {data, length};
    struct head head = {0};

    if (!length)
        return 0; /* it was not mounted */
    int r = take(&cursor, &head, sizeof(head)) && head.version == VERSION ? 0 : -EBADMSG;
    if (r == 0)
        r = load_mount(share, &cursor, head.init_length);
    if (r == 0)
        r = load_files(share, &cursor, &head);
    if (r == 0)
        r = load_handles(share, &cursor, head.handles);
    if (r == 0 && cursor.left)
        r = -EBADMSG;
    if (r == -EBADMSG)
        return error_set(err, EBADMSG, "what the snapshot keeps of it is damaged");
    if (r < 0)
        return error_sys(err, -r, "bring it back");
    inodes_drop_unused(&share->inodes);
    return 0;
}
