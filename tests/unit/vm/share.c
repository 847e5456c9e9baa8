#include "vm/share/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

/* Requests as no kernel would send them, to a folder beside which something is to be protected. */

#define ROOT 1

static struct {
    struct share *share;
    char top[64];
    int folder; /* of the host, to look into */
    char request[4096] __attribute__((aligned(8)));
    char answer[8192] __attribute__((aligned(8)));
    size_t length;
    struct virtq_chain chain;
    uint64_t answered;
} f;

static void put(const void *data, size_t length)
{
    memcpy(f.request + f.length, data, length);
    f.length += length;
}

static void begin(uint32_t opcode, uint64_t node)
{
    struct fuse_in_header in = {.opcode = opcode, .unique = 7, .nodeid = node};

    f.length = 0;
    put(&in, sizeof(in));
}

/* Sends what was put together, with this length in its header; the error that it is answered with.
 */
static int send_as(size_t told, size_t room)
{
    const struct fuse_out_header *out = (const void *)f.answer;

    ((struct fuse_in_header *)(void *)f.request)->len = (uint32_t)told;
    memset(f.answer, 0, sizeof(f.answer));
    f.chain = (struct virtq_chain){.readable = 1,
            .writable = 1,
            .readable_bytes = f.length,
            .writable_bytes = room,
            .segments = {{f.request, f.length}, {f.answer, room}}};
    f.answered = share_serve(f.share, &f.chain);
    return f.answered >= sizeof(*out) ? out->error : 1;
}

static int send_it(void)
{
    return send_as(f.length, sizeof(f.answer));
}

static const void *body(void)
{
    return f.answer + sizeof(struct fuse_out_header);
}

static int named(uint32_t opcode, uint64_t node, const void *args, size_t size, const char *name)
{
    begin(opcode, node);
    put(args, size);
    put(name, strlen(name) + 1);
    return send_it();
}

static uint64_t look_up(uint64_t node, const char *name)
{
    const struct fuse_entry_out *entry = body();

    return named(FUSE_LOOKUP, node, "", 0, name) ? 0 : entry->nodeid;
}

static void put_file(const char *name, const char *text)
{
    int fd = openat(f.folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

static struct share *make_share(bool read_only)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/in", f.top);
    struct share_config config = {open(path, O_PATH | O_CLOEXEC), read_only, SHARE_CACHE_AUTO};
    struct share *share;
    if (share_new(&config, &share, NULL) < 0)
        abort();
    return share;
}

static void set_up(bool read_only)
{
    struct fuse_init_in init = {.major = 7, .minor = 36, .max_readahead = 65536};
    char path[128];

    strcpy(f.top, "/tmp/viv-share-XXXXXX");
    if (!mkdtemp(f.top))
        abort();
    snprintf(path, sizeof(path), "%s/in", f.top);
    mkdir(path, 0755);
    f.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_file("../out", "not to be had");
    put_file("file", "content");
    mkfifoat(f.folder, "fifo", 0600);
    if (symlinkat("../out", f.folder, "link") < 0)
        abort();
    mkdirat(f.folder, "sub", 0755);
    f.share = make_share(read_only);
    begin(FUSE_INIT, 0);
    put(&init, sizeof(init));
    if (send_it() != 0)
        abort();
}

static void tear_down(void)
{
    static const char *const names[] = {"file", "fifo", "link", "new", "other", "../out"};

    share_free(f.share);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(f.folder, names[i], 0);
    unlinkat(f.folder, "sub", AT_REMOVEDIR);
    unlinkat(f.folder, "../in", AT_REMOVEDIR);
    close(f.folder);
    rmdir(f.top);
}

TEST(a_name_is_one_step_down_and_nothing_else)
{
    static const char *const bad[] = {"..", ".", "", "sub/file", "/etc", "../out", "sub/.."};
    char longest[300];

    set_up(false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fuse_rename2_in rename = {.newdir = ROOT};
        struct fuse_mkdir_in mkdir_in = {.mode = 0755};
        CHECK_INT(named(FUSE_LOOKUP, ROOT, "", 0, bad[i]), -EINVAL);
        CHECK_INT(named(FUSE_UNLINK, ROOT, "", 0, bad[i]), -EINVAL);
        CHECK_INT(named(FUSE_RMDIR, ROOT, "", 0, bad[i]), -EINVAL);
        CHECK_INT(named(FUSE_MKDIR, ROOT, &mkdir_in, sizeof(mkdir_in), bad[i]), -EINVAL);
        begin(FUSE_RENAME2, ROOT);
        put(&rename, sizeof(rename));
        put("file", sizeof("file"));
        put(bad[i], strlen(bad[i]) + 1);
        CHECK_INT(send_it(), -EINVAL);
    }
    memset(longest, 'x', sizeof(longest));
    longest[256] = 0;
    CHECK_INT(named(FUSE_LOOKUP, ROOT, "", 0, longest), -ENAMETOOLONG);
    CHECK_INT(faccessat(f.folder, "../out", F_OK, 0), 0);
    CHECK_INT(faccessat(f.folder, "file", F_OK, 0), 0);
    tear_down();
}

TEST(links_are_not_followed_and_only_files_are_opened)
{
    struct fuse_open_in how = {.flags = O_RDONLY};
    static const char *const others[] = {"link", "fifo", "sub"};

    set_up(false);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint64_t node = look_up(ROOT, others[i]);
        CHECK(node > ROOT);
        begin(FUSE_OPEN, node);
        put(&how, sizeof(how));
        CHECK_INT(send_it(), -EINVAL);
        if (i < 2) {
            begin(FUSE_OPENDIR, node);
            put(&how, sizeof(how));
            CHECK_INT(send_it(), -ENOTDIR);
            CHECK(named(FUSE_LOOKUP, node, "", 0, "out") < 0);
        }
    }
    uint64_t link = look_up(ROOT, "link");
    begin(FUSE_READLINK, link);
    CHECK_INT(send_it(), 0);
    CHECK_STR((const char *)body(), "../out");
    /* making something through it makes nothing beside it */
    struct fuse_create_in create = {.flags = O_WRONLY | O_CREAT | O_TRUNC, .mode = S_IFREG | 0600};
    CHECK_INT(named(FUSE_CREATE, ROOT, &create, sizeof(create), "link"), -ELOOP);
    tear_down();
}

TEST(a_file_that_was_swapped_on_the_host_is_not_taken_for_the_old_one)
{
    struct fuse_open_in how = {.flags = O_RDWR | O_TRUNC};
    struct stat st;

    set_up(false);
    uint64_t node = look_up(ROOT, "file");
    put_file("other", "precious");
    CHECK_INT(renameat(f.folder, "other", f.folder, "file"), 0);
    begin(FUSE_OPEN, node);
    put(&how, sizeof(how));
    CHECK_INT(send_it(), -ESTALE);
    CHECK_INT(unlinkat(f.folder, "file", 0), 0);
    CHECK_INT(symlinkat("../out", f.folder, "file"), 0);
    CHECK_INT(send_it(), -ESTALE);
    CHECK_INT(fstatat(f.folder, "../out", &st, 0), 0);
    CHECK_INT(st.st_size, (long)strlen("not to be had"));
    tear_down();
}

TEST(numbers_that_were_never_given_are_nobodys)
{
    static const uint64_t nodes[] = {0, 2, 63, 64, 1ULL << 20, UINT64_MAX};
    struct fuse_getattr_in getattr = {0};
    struct fuse_read_in read_in = {.fh = 0, .size = 64};

    set_up(false);
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        begin(FUSE_GETATTR, nodes[i]);
        put(&getattr, sizeof(getattr));
        CHECK_INT(send_it(), -ESTALE);
        CHECK_INT(named(FUSE_LOOKUP, nodes[i], "", 0, "file"), -ESTALE);
        begin(FUSE_READ, nodes[i]);
        put(&read_in, sizeof(read_in));
        CHECK_INT(send_it(), -EBADF);
    }
    tear_down();
}

TEST(lengths_that_do_not_fit_are_refused)
{
    struct fuse_write_in data = {.size = 100};
    struct fuse_setxattr_in xattr = {.size = 60000};
    struct fuse_batch_forget_in forget = {.count = UINT32_MAX};

    set_up(false);
    uint64_t node = look_up(ROOT, "file");
    begin(FUSE_GETATTR, node);
    CHECK_INT(send_as(f.length + 1, sizeof(f.answer)), -EINVAL);
    CHECK_INT(send_as(0, sizeof(f.answer)), -EINVAL);
    begin(FUSE_WRITE, node);
    put(&data, sizeof(data) - 1);
    CHECK_INT(send_it(), -EINVAL);
    begin(FUSE_WRITE, node);
    put(&data, sizeof(data));
    put("short", 5);
    CHECK_INT(send_it(), -EIO);
    begin(FUSE_SETXATTR, node);
    put(&xattr, sizeof(xattr));
    put("user.a", sizeof("user.a"));
    CHECK_INT(send_it(), -E2BIG);
    begin(FUSE_BATCH_FORGET, 0);
    put(&forget, sizeof(forget));
    CHECK_INT(send_it(), 1); /* wants no answer */
    begin(FUSE_LOOKUP, ROOT);
    put("file", 4); /* no end */
    CHECK_INT(send_it(), 0);
    CHECK_INT(send_as(f.length, 40), -EIO); /* no room for the answer */
    CHECK_INT(send_as(f.length, 0), 1);
    tear_down();
}

TEST(a_read_only_folder_is_never_changed)
{
    static const uint32_t opcodes[] = {FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR,
            FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2, FUSE_LINK, FUSE_WRITE,
            FUSE_SETXATTR, FUSE_REMOVEXATTR, FUSE_CREATE, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE};
    static const int flags[] = {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_ACCMODE};

    set_up(true);
    uint64_t node = look_up(ROOT, "file");
    for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
        begin(opcodes[i], ROOT);
        memset(f.request + f.length, 0, 128);
        f.length += 128;
        CHECK_INT(send_it(), -EROFS);
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct fuse_open_in how = {.flags = (uint32_t)flags[i]};
        begin(FUSE_OPEN, node);
        put(&how, sizeof(how));
        CHECK_INT(send_it(), -EROFS);
    }
    tear_down();
}

TEST(a_restart_forgets_what_was_open)
{
    struct fuse_open_in how = {.flags = O_RDWR};
    struct fuse_init_in init = {.major = 7, .minor = 36};

    set_up(false);
    uint64_t node = look_up(ROOT, "file");
    begin(FUSE_OPEN, node);
    put(&how, sizeof(how));
    CHECK_INT(send_it(), 0);
    share_reset(f.share);
    begin(FUSE_OPEN, node);
    put(&how, sizeof(how));
    CHECK_INT(send_it(), -EIO); /* not begun */
    begin(FUSE_INIT, 0);
    put(&init, sizeof(init));
    CHECK_INT(send_it(), 0);
    begin(FUSE_OPEN, node);
    put(&how, sizeof(how));
    CHECK_INT(send_it(), -ESTALE);
    CHECK_INT(look_up(ROOT, "file"), node);
    tear_down();
}

/* ---- snapshots ---- */

static uint64_t open_it(uint32_t opcode, uint64_t node, uint32_t flags)
{
    struct fuse_open_in how = {.flags = flags};
    const struct fuse_open_out *out = body();

    begin(opcode, node);
    put(&how, sizeof(how));
    if (send_it() != 0)
        abort();
    return out->fh;
}

static int read_it(uint64_t node, uint64_t handle)
{
    struct fuse_read_in in = {.fh = handle, .size = 64};

    begin(FUSE_READ, node);
    put(&in, sizeof(in));
    return send_it();
}

static int write_it(uint64_t node, uint64_t handle, const char *text)
{
    struct fuse_write_in in = {.fh = handle, .size = (uint32_t)strlen(text)};

    begin(FUSE_WRITE, node);
    put(&in, sizeof(in));
    put(text, strlen(text));
    return send_it();
}

/* Another process with what this one keeps. */
static int go_on_from(const struct buf *kept, bool read_only)
{
    share_free(f.share);
    f.share = make_share(read_only);
    int r = share_load(f.share, kept->data, kept->length, NULL);
    if (r == 0)
        share_begin(f.share);
    return r;
}

TEST(what_a_guest_knows_and_has_open_is_there_after_a_snapshot)
{
    _cleanup_buf_ struct buf kept = {0};
    struct fuse_forget_in forget = {1};
    struct fuse_read_in list = {.size = 4096};

    set_up(false);
    put_file("sub/deep", "far below");
    uint64_t file = look_up(ROOT, "file"), sub = look_up(ROOT, "sub");
    uint64_t deep = look_up(sub, "deep");
    CHECK_INT(look_up(sub, "deep"), deep); /* known twice */
    uint64_t written = open_it(FUSE_OPEN, file, O_RDWR | O_TRUNC);
    uint64_t folder = open_it(FUSE_OPENDIR, ROOT, 0);
    uint64_t held = open_it(FUSE_OPEN, deep, O_RDONLY);
    begin(FUSE_FORGET, sub); /* only what is below keeps it */
    put(&forget, sizeof(forget));
    CHECK_INT(send_it(), 1);
    CHECK_INT(write_it(file, written, "before"), 0);
    CHECK_INT(share_check_keepable(f.share, NULL), 0);
    share_save(f.share, &kept);

    CHECK_INT(go_on_from(&kept, false), 0);
    CHECK_INT(read_it(file, written), 0);
    CHECK(memcmp(body(), "before", 6) == 0); /* not truncated again */
    CHECK_INT(write_it(file, written, "after!"), 0);
    CHECK_INT(read_it(deep, held), 0);
    CHECK(memcmp(body(), "far below", 9) == 0);
    list.fh = folder;
    begin(FUSE_READDIR, ROOT);
    put(&list, sizeof(list));
    CHECK_INT(send_it(), 0);
    CHECK_INT(look_up(ROOT, "sub"), sub);
    CHECK_INT(look_up(sub, "deep"), deep);
    forget.nlookup = 3;
    begin(FUSE_FORGET, deep);
    put(&forget, sizeof(forget));
    CHECK_INT(send_it(), 1);
    CHECK_INT(read_it(deep, held), 0); /* held by its handle still */
    unlinkat(f.folder, "sub/deep", 0);
    tear_down();
}

TEST(what_went_after_a_snapshot_is_stale)
{
    _cleanup_buf_ struct buf kept = {0};
    struct fuse_getattr_in getattr = {0};

    set_up(false);
    put_file("other", "first");
    uint64_t file = look_up(ROOT, "file"), other = look_up(ROOT, "other");
    uint64_t first = open_it(FUSE_OPEN, file, O_RDONLY);
    uint64_t second = open_it(FUSE_OPEN, other, O_RDONLY);
    share_save(f.share, &kept);
    unlinkat(f.folder, "file", 0);
    put_file("new", "second"); /* before the old one goes, so that it has another number */
    renameat(f.folder, "new", f.folder, "other");

    CHECK_INT(go_on_from(&kept, false), 0);
    CHECK_INT(read_it(file, first), -ESTALE);
    CHECK_INT(read_it(other, second), -ESTALE);
    begin(FUSE_GETATTR, file);
    put(&getattr, sizeof(getattr));
    CHECK_INT(send_it(), -ESTALE);
    CHECK(look_up(ROOT, "other") != other);
    tear_down();
}

TEST(a_removed_file_that_is_open_cannot_be_kept)
{
    _cleanup_buf_ struct buf kept = {0};
    struct error err = ERROR_NONE;
    struct fuse_release_in release = {0};

    set_up(false);
    share_save(f.share, &kept);
    CHECK(kept.length > 0);
    uint64_t file = look_up(ROOT, "file");
    release.fh = open_it(FUSE_OPEN, file, O_RDONLY);
    CHECK_INT(named(FUSE_UNLINK, ROOT, "", 0, "file"), 0);
    CHECK_INT(share_check_keepable(f.share, &err), -EBUSY);
    CHECK(strstr(err.text, "a file open that was removed"));
    begin(FUSE_RELEASE, file);
    put(&release, sizeof(release));
    CHECK_INT(send_it(), 0);
    CHECK_INT(share_check_keepable(f.share, NULL), 0);
    share_reset(f.share);
    buf_clear(&kept);
    share_save(f.share, &kept);
    CHECK_INT(kept.length, 0);
    CHECK_INT(go_on_from(&kept, false), 0);
    tear_down();
}

/* Each byte of what is kept, cut and changed: it is refused, or makes some sense, and no more. */
TEST(damage_of_what_was_kept_is_noticed)
{
    _cleanup_buf_ struct buf kept = {0};
    size_t refused = 0;

    set_up(false);
    uint64_t sub = look_up(ROOT, "sub");
    open_it(FUSE_OPENDIR, sub, 0);
    open_it(FUSE_OPEN, look_up(ROOT, "file"), O_RDWR);
    share_save(f.share, &kept);
    size_t length = kept.length;
    for (size_t i = 1; i < length; i++) {
        kept.length = i;
        CHECK_INT(go_on_from(&kept, false), -EBADMSG);
    }
    kept.length = length;
    for (size_t i = 0; i < length; i++) {
        kept.data[i] ^= 0x55;
        refused += go_on_from(&kept, false) < 0;
        kept.data[i] ^= 0x55;
    }
    CHECK(refused > 20);
    CHECK_INT(go_on_from(&kept, true), -EBADMSG); /* open for writing in a folder only read */
    CHECK_INT(go_on_from(&kept, false), 0);
    tear_down();
}

TEST(more_files_than_descriptors_are_found_again)
{
    uint64_t nodes[200];
    char name[16];
    struct fuse_getattr_in getattr = {0};
    struct fuse_forget_in forget = {1};
    struct rlimit limit = {64, 64};

    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    set_up(false);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "sub/%u", i);
        put_file(name, name);
    }
    uint64_t sub = look_up(ROOT, "sub");
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "%u", i);
        nodes[i] = look_up(sub, name);
    }
    for (unsigned i = 0; i < 200; i++) {
        const struct fuse_attr_out *attr = body();
        begin(FUSE_GETATTR, nodes[i]);
        put(&getattr, sizeof(getattr));
        CHECK_INT(send_it(), 0);
        CHECK_INT(attr->attr.size, i < 10 ? 5 : i < 100 ? 6 : 7);
        snprintf(name, sizeof(name), "%u", i);
        CHECK_INT(named(FUSE_UNLINK, sub, "", 0, name), 0);
        begin(FUSE_FORGET, nodes[i]);
        put(&forget, sizeof(forget));
        CHECK_INT(send_it(), 1);
    }
    tear_down();
}

TEST_MAIN()
