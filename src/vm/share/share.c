#include "vm/share/share.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/creds.h"
#include "sys/process.h"
#include "vm/share/ops.h"

#define REQUEST_MAX ((size_t)128 << 10) /* beside what is written: names, values, forgets */
#define GUARD 4096 /* zeros behind a request: libfuse counts on ends of names and whole structs */
#define OPEN_MAX 65536
#define OPEN_MIN 16
#define ALWAYS_SECONDS 86400

/* ---- for the operations ---- */

double share_timeout(const struct share *share)
{
    static const double seconds[] = {
            [SHARE_CACHE_AUTO] = 1,
            [SHARE_CACHE_FRESH] = 0,
            [SHARE_CACHE_ALWAYS] = ALWAYS_SECONDS,
            [SHARE_CACHE_NEVER] = 0,
    };

    return seconds[share->cache];
}

bool share_name_is_good(const char *name)
{
    return *name && !strchr(name, '/') && !str_equal(name, ".") && !str_equal(name, "..") &&
           strlen(name) <= NAME_BYTES_MAX;
}

struct inode *share_inode(fuse_req_t req, fuse_ino_t ino, int *ret_fd)
{
    struct share *share = share_of(req);
    struct inode *inode = inodes_get(&share->inodes, ino);
    int fd = inode ? inodes_fd(&share->inodes, inode) : -ESTALE;

    if (fd < 0) {
        fuse_reply_err(req, -fd);
        return NULL;
    }
    *ret_fd = fd;
    return inode;
}

int share_become(struct share *share, fuse_req_t req)
{
    const struct fuse_ctx *who = fuse_req_ctx(req);

    if (!share->impersonates)
        return 0;
    if (sys_setfsgid(who->gid) == 0 && sys_setfsuid(who->uid) == 0)
        return 0;
    share_become_self(share);
    return -EINVAL; /* as chown(2) says of ids that are not mapped here */
}

void share_become_self(const struct share *share)
{
    if (!share->impersonates)
        return;
    (void)sys_setfsuid(geteuid());
    (void)sys_setfsgid(getegid());
}

bool share_came(const struct share *share, const void *data, size_t length)
{
    const char *at = data, *end = share->request + share->request_length;

    return at >= share->request && at <= end && length <= (size_t)(end - at);
}

/* ---- the session ---- */

/*
 * libfuse's low-level interface names its part for character devices, which brings in the
 * high-level interface with its plug-ins. This stands in for it, so that none of that is linked
 * into the process that a guest talks to; it is never called.
 */
void cuse_lowlevel_init(fuse_req_t req, fuse_ino_t ino, const void *data);
void cuse_lowlevel_init(fuse_req_t req, fuse_ino_t ino, const void *data)
{
    (void)ino;
    (void)data;
    fuse_reply_err(req, ENOSYS);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    struct share *share = userdata;

    /* the guest's kernel takes the set-user-id bits away itself, with a request */
    conn->want &= ~(unsigned)FUSE_CAP_HANDLE_KILLPRIV;
    share->writeback = false;
    share->mounted = true;
    if (share->cache != SHARE_CACHE_ALWAYS)
        return;
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
    if (!share->read_only && conn->capable & FUSE_CAP_WRITEBACK_CACHE) {
        conn->want |= FUSE_CAP_WRITEBACK_CACHE;
        share->writeback = true;
    }
}

static void on_destroy(void *userdata)
{
    struct share *share = userdata;

    share->mounted = false;
    handles_reset(&share->handles, &share->inodes);
    inodes_reset(&share->inodes);
}

/* Locks are missing on purpose: the guest's kernel then keeps them itself, among its processes. */
static const struct fuse_lowlevel_ops operations = {
        .init = on_init,
        .destroy = on_destroy,
        .lookup = share_lookup,
        .forget = share_forget,
        .forget_multi = share_forget_multi,
        .getattr = share_getattr,
        .setattr = share_setattr,
        .readlink = share_readlink,
        .mknod = share_mknod,
        .mkdir = share_mkdir,
        .unlink = share_unlink,
        .rmdir = share_rmdir,
        .symlink = share_symlink,
        .rename = share_rename,
        .link = share_link,
        .open = share_open_file,
        .create = share_create,
        .read = share_read,
        .write_buf = share_write_buf,
        .release = share_release,
        .fsync = share_fsync,
        .opendir = share_opendir,
        .readdir = share_readdir,
        .readdirplus = share_readdirplus,
        .releasedir = share_release,
        .fsyncdir = share_fsync,
        .statfs = share_statfs,
        .setxattr = share_setxattr,
        .getxattr = share_getxattr,
        .listxattr = share_listxattr,
        .removexattr = share_removexattr,
        .fallocate = share_fallocate,
        .copy_file_range = share_copy_file_range,
        .lseek = share_lseek,
};

/* What libfuse would say of a guest's mistakes goes nowhere. */
static void no_log(enum fuse_log_level level, const char *format, va_list list)
{
    (void)level;
    (void)format;
    (void)list;
}

static void write_error(struct share *share, const struct fuse_in_header *in, int errnum)
{
    struct fuse_out_header out = {.len = sizeof(out), .error = -errnum, .unique = in->unique};

    share->replied = virtq_write(share->chain, 0, &out, sizeof(out));
}

/* libfuse's way out: the header of the answer, then its parts. */
static ssize_t reply(int fd, struct iovec *iov, int count, void *userdata)
{
    struct share *share = userdata;
    const struct fuse_out_header *out = iov[0].iov_base;
    size_t total = out->len, done = 0;

    (void)fd;
    if (!share->chain) /* nobody asks */
        return (ssize_t)total;
    if (total > share->chain->writable_bytes) {
        struct fuse_in_header in = {.unique = out->unique};
        write_error(share, &in, EIO);
        return (ssize_t)total;
    }
    for (int i = 0; i < count; i++) {
        /* what was read from a file is there already */
        if (i == 0 || !share->in_place)
            virtq_write(share->chain, done, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    share->replied = total;
    return (ssize_t)total;
}

static ssize_t never_read(int fd, void *buffer, size_t length, void *userdata)
{
    (void)fd;
    (void)buffer;
    (void)length;
    (void)userdata;
    errno = ENODEV;
    return -1;
}

static int make_session(struct share *share, struct error *err)
{
    static const struct fuse_custom_io io = {.writev = reply, .read = never_read};
    char name[] = "viv-vmm";
    char *argv[] = {name, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    int fd = eventfd(0, EFD_CLOEXEC); /* libfuse wants one, and closes it */

    if (fd < 0)
        return error_sys(err, errno, "eventfd");
    fuse_set_log_func(no_log);
    share->session = fuse_session_new(&args, &operations, sizeof(operations), share);
    fuse_opt_free_args(&args);
    if (!share->session || fuse_session_custom_io(share->session, &io, fd) != 0) {
        close(fd);
        return error_set(err, ENOMEM, "out of memory");
    }
    return 0;
}

/* ---- requests ---- */

/* The requests that are served. Others are answered here: libfuse would keep something of each
 * interrupt and of each answer to a notification, as long as a guest likes. */
enum request_kind { REQUEST_UNKNOWN, REQUEST_LOOKS, REQUEST_CHANGES };

static const uint8_t kinds[] = {
        [FUSE_LOOKUP] = REQUEST_LOOKS,
        [FUSE_FORGET] = REQUEST_LOOKS,
        [FUSE_GETATTR] = REQUEST_LOOKS,
        [FUSE_SETATTR] = REQUEST_CHANGES,
        [FUSE_READLINK] = REQUEST_LOOKS,
        [FUSE_SYMLINK] = REQUEST_CHANGES,
        [FUSE_MKNOD] = REQUEST_CHANGES,
        [FUSE_MKDIR] = REQUEST_CHANGES,
        [FUSE_UNLINK] = REQUEST_CHANGES,
        [FUSE_RMDIR] = REQUEST_CHANGES,
        [FUSE_RENAME] = REQUEST_CHANGES,
        [FUSE_LINK] = REQUEST_CHANGES,
        [FUSE_OPEN] = REQUEST_LOOKS, /* and looks at the flags */
        [FUSE_READ] = REQUEST_LOOKS,
        [FUSE_WRITE] = REQUEST_CHANGES,
        [FUSE_STATFS] = REQUEST_LOOKS,
        [FUSE_RELEASE] = REQUEST_LOOKS,
        [FUSE_FSYNC] = REQUEST_LOOKS,
        [FUSE_SETXATTR] = REQUEST_CHANGES,
        [FUSE_GETXATTR] = REQUEST_LOOKS,
        [FUSE_LISTXATTR] = REQUEST_LOOKS,
        [FUSE_REMOVEXATTR] = REQUEST_CHANGES,
        [FUSE_INIT] = REQUEST_LOOKS,
        [FUSE_OPENDIR] = REQUEST_LOOKS,
        [FUSE_READDIR] = REQUEST_LOOKS,
        [FUSE_RELEASEDIR] = REQUEST_LOOKS,
        [FUSE_FSYNCDIR] = REQUEST_LOOKS,
        [FUSE_CREATE] = REQUEST_CHANGES,
        [FUSE_DESTROY] = REQUEST_LOOKS,
        [FUSE_BATCH_FORGET] = REQUEST_LOOKS,
        [FUSE_FALLOCATE] = REQUEST_CHANGES,
        [FUSE_READDIRPLUS] = REQUEST_LOOKS,
        [FUSE_RENAME2] = REQUEST_CHANGES,
        [FUSE_LSEEK] = REQUEST_LOOKS,
        [FUSE_COPY_FILE_RANGE] = REQUEST_CHANGES,
};

/* What is refused before libfuse sees it; 0: nothing against it. */
static int refusal(const struct share *share, const struct fuse_in_header *in)
{
    uint64_t length = share->chain->readable_bytes;
    unsigned kind = in->opcode < sizeof(kinds) ? kinds[in->opcode] : REQUEST_UNKNOWN;

    if (in->len != length)
        return EINVAL;
    if (kind == REQUEST_UNKNOWN)
        return ENOSYS;
    if (share->read_only && kind == REQUEST_CHANGES)
        return EROFS;
    if (in->opcode == FUSE_WRITE && length < sizeof(*in) + sizeof(struct fuse_write_in))
        return EINVAL;
    return in->opcode != FUSE_WRITE && length > REQUEST_MAX ? E2BIG : 0;
}

/* Copies the request, so that the guest cannot change it any more. Data to be written stays where
 * it is: nobody looks at it. */
static void fetch(struct share *share, uint32_t opcode)
{
    size_t length = share->chain->readable_bytes;

    if (opcode == FUSE_WRITE)
        length = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
    share->request_length = virtq_read(share->chain, 0, share->request, length);
    memset(share->request + share->request_length, 0, GUARD);
}

static void start_anew(struct share *share)
{
    share->starts_anew = false;
    if (share->session)
        fuse_session_destroy(share->session);
    share->session = NULL;
    on_destroy(share);
    (void)make_session(share, NULL); /* without one no request is answered */
}

static void note_mount(struct share *share)
{
    share->init_length =
            (uint32_t)(share->request_length < INIT_MAX ? share->request_length : INIT_MAX);
    memcpy(share->init, share->request, share->init_length);
}

void share_mount_again(struct share *share)
{
    struct fuse_buf buf = {.size = share->init_length, .mem = share->request};

    memcpy(share->request, share->init, share->init_length);
    memset(share->request + share->init_length, 0, GUARD);
    share->chain = NULL;
    fuse_session_process_buf(share->session, &buf);
}

uint64_t share_serve(struct share *share, const struct virtq_chain *chain)
{
    struct fuse_in_header in;

    if (share->starts_anew)
        start_anew(share);
    share->chain = chain;
    share->replied = 0;
    share->in_place = false;
    if (virtq_read(chain, 0, &in, sizeof(in)) < sizeof(in) || !share->session)
        return 0;
    int errnum = refusal(share, &in);
    if (errnum) {
        write_error(share, &in, errnum);
        return share->replied;
    }
    fetch(share, in.opcode);
    memcpy(share->request, &in, sizeof(in)); /* the one that was looked at */
    if (in.opcode == FUSE_INIT && !share->mounted)
        note_mount(share);
    inodes_begin(&share->inodes);
    struct fuse_buf buf = {.size = chain->readable_bytes, .mem = share->request};
    fuse_session_process_buf(share->session, &buf);
    return share->replied;
}

/* ---- the life of a share ---- */

int share_parse_cache(const char *name, enum share_cache *ret, struct error *err)
{
    static const char *const names[] = {
            [SHARE_CACHE_AUTO] = "auto",
            [SHARE_CACHE_FRESH] = "fresh",
            [SHARE_CACHE_ALWAYS] = "always",
            [SHARE_CACHE_NEVER] = "never",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_equal(name ? name : "auto", names[i])) {
            *ret = (enum share_cache)i;
            return 0;
        }
    return error_set(
            err, EINVAL, "a share's cache is auto, fresh, always or never, not \"%s\"", name);
}

/* Half of the descriptors that the process may have; the other half is for open files. */
static uint32_t open_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return OPEN_MIN;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur / 2 < OPEN_MIN)
        return OPEN_MIN;
    return limit.rlim_cur / 2 < OPEN_MAX ? (uint32_t)(limit.rlim_cur / 2) : OPEN_MAX;
}

int share_new(const struct share_config *config, struct share **ret, struct error *err)
{
    struct share *share = calloc(1, sizeof(*share));

    if (!share || !(share->request = malloc(REQUEST_MAX + GUARD))) {
        free(share);
        close(config->folder);
        return error_set(err, ENOMEM, "out of memory");
    }
    share->read_only = config->read_only;
    share->fixed = config->fixed;
    share->cache = config->cache;
    int r = inodes_init(&share->inodes, config->folder, open_max(), err);
    if (r == 0)
        r = make_session(share, err);
    if (r < 0) {
        share_free(share);
        return r;
    }
    *ret = share;
    return 0;
}

void share_begin(struct share *share)
{
    const uint64_t needed = 1ULL << CAP_SETUID | 1ULL << CAP_SETGID;
    uint64_t effective = 0, permitted, inheritable;

    if (sys_unshare(CLONE_FS) == 0) /* the mask is the whole process's otherwise */
        (void)umask(0);
    if (sys_capget(0, &effective, &permitted, &inheritable) < 0)
        effective = 0;
    share->impersonates = (effective & needed) == needed && !share->read_only;
    /* the rights over files stay while a file is made as somebody else: the guest's kernel has
     * decided whether that one may, and only it knows of all his groups */
    if (share->impersonates)
        (void)sys_prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
    share_open_again(share);
}

void share_reset(struct share *share)
{
    share->starts_anew = true;
}

void share_free(struct share *share)
{
    if (!share)
        return;
    if (share->session)
        fuse_session_destroy(share->session);
    handles_reset(&share->handles, &share->inodes);
    inodes_free(&share->inodes);
    free(share->request);
    free(share);
}
