/*
 * Inside of share/: what a share is, and the FUSE operations, which names.c, attrs.c, files.c and
 * folders.c implement. Nobody else includes this.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "vm/share/handles.h"
#include "vm/share/inodes.h"
#include "vm/share/share.h"

#define NAME_BYTES_MAX 255
#define INIT_MAX 256 /* bytes of the request that a guest mounts with */

struct share {
    struct fuse_session *session;
    struct inodes inodes;
    struct handles handles;
    bool read_only, fixed;
    enum share_cache cache;
    bool mounted;
    uint8_t init[INIT_MAX]; /* the request that it was mounted with */
    uint32_t init_length;
    bool starts_anew;  /* with the next request: that has the thread for it */
    bool writeback;    /* the guest's kernel gathers writes */
    bool impersonates; /* may make files as other users */

    char *request; /* what libfuse sees of the request, with zeros behind it */
    size_t request_length;
    const struct virtq_chain *chain; /* of the request that is served */
    uint64_t replied;                /* bytes */
    bool in_place;                   /* the answer's data is in guest memory already */
};

static inline struct share *share_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* How long the guest may trust attributes and names, in seconds. */
double share_timeout(const struct share *share);

/* The file that a request is about; replies with the error and returns NULL when there is none. */
struct inode *share_inode(fuse_req_t req, fuse_ino_t ino, int *ret_fd);

/* A single name that stays in its folder. */
bool share_name_is_good(const char *name);

/* Opens a regular file or a folder anew, by its last name, and makes sure that it is the same.
 * Negative errno. */
int share_open(struct share *share, struct inode *inode, int flags);

/* From here to share_become_self() files are made as the request's user and group. -EINVAL when
 * these ids mean nothing on this side. */
int share_become(struct share *share, fuse_req_t req);
void share_become_self(const struct share *share);

/* Whether so many bytes from `data` on, a part of the request, came from the guest. */
bool share_came(const struct share *share, const void *data, size_t length);

/* Looks a name up and counts that the guest knows it now. Negative errno. */
int share_look_up(struct share *share, struct inode *parent, int parent_fd, const char *name,
        struct fuse_entry_param *ret);

/* Opens what a snapshot said was open, on the thread that serves. */
void share_open_again(struct share *share);

/* Serves a mount that was kept as if the guest asked for it again, and answers nobody. */
void share_mount_again(struct share *share);

/* names.c */
void share_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void share_forget(fuse_req_t req, fuse_ino_t ino, uint64_t times);
void share_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void share_readlink(fuse_req_t req, fuse_ino_t ino);
void share_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void share_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void share_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void share_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void share_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void share_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void share_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
        const char *new_name, unsigned flags);
void share_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
        struct fuse_file_info *fi);

/* attrs.c */
void share_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void share_setattr(
        fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what, struct fuse_file_info *fi);
void share_statfs(fuse_req_t req, fuse_ino_t ino);
void share_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
        size_t size, int flags);
void share_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void share_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void share_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* files.c */
void share_open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void share_fill_open(const struct share *share, struct fuse_file_info *fi);
void share_read(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void share_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *data, off_t offset,
        struct fuse_file_info *fi);
void share_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void share_fsync(fuse_req_t req, fuse_ino_t ino, int only_data, struct fuse_file_info *fi);
void share_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
        struct fuse_file_info *fi);
void share_lseek(
        fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void share_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
        struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_offset,
        struct fuse_file_info *to_fi, size_t length, int flags);

/* folders.c */
void share_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void share_readdir(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void share_readdirplus(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
