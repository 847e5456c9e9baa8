#include "image/layer.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "image/codec.h"
#include "image/tarout.h"
#include "test.h"

/* --- A tar archive by hand, so that it may hold what no honest writer would write
 * ------------------- */

struct member {
    const char *name;
    char type; /* as in the header: '0' file, '1' hard link, '2' symbolic link, '3' device, '5'
                  folder */
    const char *text; /* content, or where a link leads */
    unsigned mode;
    unsigned minor;
    const char *record; /* a pax record "key=value" */
};

static void put_octal(char *field, int digits, unsigned long value)
{
    char text[32];

    snprintf(text, sizeof(text), "%0*lo", digits, value);
    memcpy(field, text, (size_t)digits);
}

static void put_header(struct buf *tar, const char *name, char type, const char *link,
        unsigned mode, unsigned minor_number, size_t size)
{
    char h[512] = {0};
    unsigned sum = 8 * ' ';

    memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
    put_octal(h + 100, 7, mode);
    put_octal(h + 108, 7, 0);
    put_octal(h + 116, 7, 0);
    put_octal(h + 124, 11, size);
    put_octal(h + 136, 11, 1000000000);
    h[156] = type;
    if (link)
        memcpy(h + 157, link, strlen(link));
    memcpy(h + 257, "ustar\00000", 8);
    put_octal(h + 329, 7, type == '3' && minor_number ? 1 : 0);
    put_octal(h + 337, 7, minor_number);
    for (size_t i = 0; i < sizeof(h); i++)
        sum += i < 148 || i >= 156 ? (unsigned char)h[i] : 0;
    put_octal(h + 148, 6, sum);
    h[155] = ' ';
    buf_add(tar, h, sizeof(h));
}

static void put_content(struct buf *tar, const char *text, size_t length)
{
    static const char zeros[512];

    buf_add(tar, text, length);
    if (length % 512)
        buf_add(tar, zeros, 512 - length % 512);
}

static void put_member(struct buf *tar, const struct member *m)
{
    bool link = m->type == '1' || m->type == '2';
    size_t size = m->text && !link ? strlen(m->text) : 0;

    if (m->record) {
        char line[300];
        int length = (int)strlen(m->record) + 2;
        length += length + 2 > 99 ? 3 : length + 1 > 9 ? 2 : 1;
        snprintf(line, sizeof(line), "%d %s\n", length, m->record);
        put_header(tar, "pax", 'x', NULL, 0644, 0, strlen(line));
        put_content(tar, line, strlen(line));
    }
    put_header(
            tar, m->name, m->type, link ? m->text : NULL, m->mode ? m->mode : 0644, m->minor, size);
    if (size)
        put_content(tar, m->text, size);
}

/* A memory file with the archive. */
static int make_tar(const struct member *members, size_t count)
{
    static const char end[1024];
    struct buf tar = {0};

    for (size_t i = 0; i < count; i++)
        put_member(&tar, &members[i]);
    buf_add(&tar, end, sizeof(end));
    int fd = memfd_create("tar", MFD_CLOEXEC);
    io_write_all(fd, tar.data, tar.length);
    lseek(fd, 0, SEEK_SET);
    buf_free(&tar);
    return fd;
}

/* --- A folder to unpack into
 * ------------------------------------------------------------------------ */

struct place {
    char outer[64]; /* beside the root is what an escape would hit */
    int outer_fd;
    int root_fd;
};

static struct place open_place(void)
{
    struct place place = {.outer = "/tmp/viv-layer-XXXXXX"};

    if (!mkdtemp(place.outer))
        abort();
    place.outer_fd = open(place.outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(place.outer_fd, "root", 0755);
    place.root_fd = openat(place.outer_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return place;
}

static void close_place(struct place *place)
{
    close(place->root_fd);
    close(place->outer_fd);
    io_remove_tree_at(AT_FDCWD, place->outer);
}

static struct layer_options options(void)
{
    return (struct layer_options){.owners_ignored = geteuid() != 0, .user_marks = geteuid() != 0};
}

static int unpack(const struct member *members, size_t count, struct place *place,
        struct layer_result *result, struct error *err)
{
    struct layer_options o = options();
    int fd = make_tar(members, count);

    *place = open_place();
    int r = layer_unpack(fd, place->root_fd, &o, result, err);
    close(fd);
    return r;
}

static bool is_whiteout(const struct place *place, const char *path)
{
    struct stat st;

    return fstatat(place->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(0, 0);
}

static bool is_opaque(const struct place *place, const char *path)
{
    _cleanup_close_ int fd = openat(place->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && tarout_is_opaque(fd);
}

TEST(layer_makes_every_kind)
{
    static const struct member members[] = {{"./", '5', NULL, 0750, 0, NULL},
            {"etc/", '5', NULL, 0755, 0, NULL}, {"etc/a", '0', "hello", 04755, 0, NULL},
            {"etc/b", '1', "etc/a", 0, 0, NULL}, {"etc/c", '2', "/etc/a", 0, 0, NULL},
            {"made/on/the/way", '0', "x", 0600, 0, NULL}, {"/abs", '0', "y", 0644, 0, NULL},
            {"etc/\303\251", '0', "utf8", 0644, 0, NULL},
            {"etc/\351", '0', "latin1", 0644, 0, NULL},
            {"pax", '0', "p", 0644, 0, "path=etc/\303\274ber"},
            {"attr", '0', "p", 0644, 0, "SCHILY.xattr.user.note=yes"},
            {"fifo", '6', NULL, 0644, 0, NULL}};
    struct place place;
    struct layer_result result;
    struct error err = ERROR_NONE;
    struct stat a;
    struct stat b;
    char text[16];

    CHECK_INT(unpack(members, ARRAY_SIZE(members), &place, &result, &err), 0);
    CHECK_INT(fstatat(place.root_fd, "etc/a", &a, 0), 0);
    CHECK_INT(fstatat(place.root_fd, "etc/b", &b, 0), 0);
    CHECK_INT(a.st_ino, b.st_ino);
    CHECK_INT(a.st_mode & 07777, 04755);
    CHECK_INT(a.st_mtime, 1000000000);
    CHECK(io_read_small_at(place.root_fd, "abs", text, sizeof(text)) == 1);
    CHECK(io_read_small_at(place.root_fd, "made/on/the/way", text, sizeof(text)) == 1);
    CHECK(io_read_small_at(place.root_fd, "etc/\303\251", text, sizeof(text)) == 4);
    CHECK(io_read_small_at(place.root_fd, "etc/\351", text, sizeof(text)) == 6);
    CHECK(io_read_small_at(place.root_fd, "etc/\303\274ber", text, sizeof(text)) == 1);
    CHECK_INT(fstat(place.root_fd, &a), 0);
    CHECK_INT(a.st_mode & 07777, 0750);
    CHECK_INT(a.st_mtime, 1000000000);
    CHECK_INT(result.entries, layer_count(place.root_fd));
    close_place(&place);
}

TEST(layer_compares_with_its_archive)
{
    static const struct member members[] = {{"d/", '5', NULL, 0755, 0, NULL},
            {"d/a", '0', "hello", 0644, 0, NULL}, {"d/b", '2', "a", 0, 0, NULL},
            {"d/a", '0', "second", 0644, 0, NULL}};
    struct layer_options o = options();
    struct place place;
    struct layer_result result;
    struct error err = ERROR_NONE;

    CHECK_INT(unpack(members, ARRAY_SIZE(members), &place, &result, &err), 0);
    _cleanup_close_ int fd = make_tar(members, ARRAY_SIZE(members));
    CHECK_INT(layer_compare(fd, place.root_fd, &o, &result, &err), 0);
    io_write_file_at(place.root_fd, "d/a", "s"); /* same length, another time and byte */
    _cleanup_close_ int changed = openat(place.root_fd, "d/a", O_WRONLY | O_CLOEXEC);
    CHECK_INT(pwrite(changed, "S", 1, 0), 1);
    struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
    CHECK_INT(futimens(changed, times), 0);
    lseek(fd, 0, SEEK_SET);
    CHECK_INT(layer_compare(fd, place.root_fd, &o, &result, &err), -EBADMSG);
    CHECK(strstr(err.text, "\"d/a\": its content differs"));
    unlinkat(place.root_fd, "d/b", 0);
    CHECK_INT(pwrite(changed, "s", 1, 0), 1);
    futimens(changed, times);
    lseek(fd, 0, SEEK_SET);
    CHECK_INT(layer_compare(fd, place.root_fd, &o, &result, &err), -EBADMSG);
    CHECK(strstr(err.text, "\"d\": its time differs"));
    close_place(&place);
}

TEST(layer_whiteouts)
{
    static const struct member members[] = {{"d/", '5', NULL, 0755, 0, NULL},
            {"d/.wh.gone", '0', NULL, 0, 0, NULL}, {"o/", '5', NULL, 0755, 0, NULL},
            {"o/.wh..wh..opq", '0', NULL, 0, 0, NULL}, {"o/kept", '0', "k", 0644, 0, NULL},
            {".wh.replaced", '0', NULL, 0, 0, NULL}, {"replaced/", '5', NULL, 0755, 0, NULL},
            {"was/", '5', NULL, 0755, 0, NULL}, {".wh.was", '0', NULL, 0, 0, NULL},
            {"file", '0', "f", 0644, 0, NULL}, {".wh.file", '0', NULL, 0, 0, NULL},
            {".wh..wh.plnk", '0', NULL, 0, 0, NULL}};
    struct place place;
    struct layer_result result;
    struct error err = ERROR_NONE;
    struct stat st;

    if (geteuid() != 0)
        SKIP("needs root");
    CHECK_INT(unpack(members, ARRAY_SIZE(members), &place, &result, &err), 0);
    CHECK(is_whiteout(&place, "d/gone"));
    CHECK(is_opaque(&place, "o"));
    CHECK(!is_opaque(&place, "d"));
    CHECK(is_opaque(&place, "replaced"));
    CHECK(is_opaque(&place, "was"));
    CHECK_INT(fstatat(place.root_fd, "file", &st, 0), 0);
    CHECK(S_ISREG(st.st_mode));
    CHECK(fstatat(place.root_fd, ".wh..wh.plnk", &st, 0) < 0);
    CHECK_INT(result.entries, layer_count(place.root_fd));
    close_place(&place);
}

TEST(layer_refuses_malice)
{
    static const struct {
        struct member members[3];
        size_t count;
        const char *part;
    } cases[] = {
            {{{"../out", '0', "x", 0, 0, NULL}}, 1, "entry \"../out\": the name has \"..\""},
            {{{"a/../../out", '0', "x", 0, 0, NULL}}, 1, "the name has \"..\""},
            {{{"h", '1', "../../etc/passwd", 0, 0, NULL}}, 1, "the name has \"..\""},
            {{{"h", '1', "/etc/passwd", 0, 0, NULL}}, 1,
                    "open its folder \"etc\" inside the layer"},
            {{{"l", '2', "/etc", 0, 0, NULL}, {"h", '1', "l/passwd", 0, 0, NULL}}, 2,
                    "hard link to \"l/passwd\""},
            {{{"null", '3', NULL, 0, 0, NULL}}, 1, "0:0 is overlayfs's mark"},
            {{{"x", '0', "y", 0, 0, "SCHILY.xattr.trusted.overlay.redirect=/etc"}}, 1,
                    "means something to overlayfs"},
            {{{"x", '0', "y", 0, 0, "SCHILY.xattr.user.overlay.metacopy=1"}}, 1,
                    "means something to overlayfs"},
            {{{".wh...", '0', NULL, 0, 0, NULL}}, 1, "makes no sense"},
            {{{"f", '0', "x", 0, 0, NULL}, {"f/x", '0', "y", 0, 0, NULL}}, 2, "ENOTDIR"},
            {{{"./", '0', "x", 0, 0, NULL}}, 1, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct place place;
        struct layer_result result;
        struct error err = ERROR_NONE;
        struct stat st;
        int r = unpack(cases[i].members, cases[i].count, &place, &result, &err);
        bool told = !cases[i].part || (r < 0 && strstr(err.text, cases[i].part));
        bool escaped = fstatat(place.outer_fd, "out", &st, 0) == 0;
        close_place(&place);
        if (!told || escaped)
            test_report(__FILE__, __LINE__, "case %zu: %d \"%s\"", i, r, err.text);
    }
}

TEST(layer_links_lead_inside)
{
    static const struct member members[] = {{"up", '2', "../..", 0, 0, NULL},
            {"abs", '2', "/", 0, 0, NULL}, {"up/one", '0', "1", 0644, 0, NULL},
            {"abs/two", '0', "2", 0644, 0, NULL}};
    struct place place;
    struct layer_result result;
    struct error err = ERROR_NONE;
    struct stat st;

    CHECK_INT(unpack(members, ARRAY_SIZE(members), &place, &result, &err), 0);
    CHECK_INT(fstatat(place.root_fd, "one", &st, 0), 0);
    CHECK_INT(fstatat(place.root_fd, "two", &st, 0), 0);
    CHECK(fstatat(place.outer_fd, "one", &st, 0) < 0);
    close_place(&place);
}

TEST(layer_devices_are_made_or_left_out)
{
    static const struct member members[] = {{"zero", '3', NULL, 0666, 5, NULL}};
    struct place place;
    struct layer_result result;
    struct error err = ERROR_NONE;
    struct stat st;

    if (geteuid() != 0)
        SKIP("needs root");
    CHECK_INT(unpack(members, 1, &place, &result, &err), 0);
    CHECK_INT(fstatat(place.root_fd, "zero", &st, 0), 0);
    CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5));
    close_place(&place);
    struct layer_options o = {.owners_ignored = true};
    _cleanup_close_ int fd = make_tar(members, 1);
    place = open_place();
    CHECK_INT(layer_unpack(fd, place.root_fd, &o, &result, &err), 0);
    CHECK(fstatat(place.root_fd, "zero", &st, 0) < 0);
    close_place(&place);
}

TEST(layer_truncated_and_damaged)
{
    static const struct member members[] = {{"a", '0', "hello", 0644, 0, NULL}};
    static const struct {
        off_t length;
        off_t flip;
    } cases[] = {{700, -1}, {300, -1}, {2048, 10}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_close_ int fd = make_tar(members, 1);
        struct place place = open_place();
        struct layer_options o = options();
        struct layer_result result;
        struct error err = ERROR_NONE;
        if (cases[i].flip >= 0)
            CHECK_INT(pwrite(fd, "\377", 1, cases[i].flip), 1);
        CHECK_INT(ftruncate(fd, cases[i].length), 0);
        int r = layer_unpack(fd, place.root_fd, &o, &result, &err);
        close_place(&place);
        CHECK_INT(r, -EBADMSG);
        CHECK(strstr(err.text, "not a valid tar archive"));
    }
}

static int gzip_zeros(size_t megabytes)
{
    _cleanup_free_ char *zeros = calloc(1, 1 << 20);
    int fd = memfd_create("gz", MFD_CLOEXEC);
    gzFile gz = gzdopen(dup(fd), "wb9");

    for (size_t i = 0; zeros && i < megabytes; i++)
        gzwrite(gz, zeros, 1 << 20);
    gzclose(gz);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

TEST(codec_caps_bombs)
{
    _cleanup_close_ int fd = gzip_zeros(8);
    _cleanup_codec_ struct codec_reader *codec = NULL;
    struct error err = ERROR_NONE;
    char digest[DIGEST_SIZE];
    uint64_t bytes;

    CHECK_INT(codec_open(fd, 4 << 20, &codec, &err), 0);
    CHECK_INT(codec_finish(codec, digest, &bytes, &err), -E2BIG);
    CHECK(strstr(err.text, "decompression bomb"));
}

TEST(codec_several_members_and_truncation)
{
    _cleanup_close_ int one = gzip_zeros(1);
    _cleanup_close_ int two = memfd_create("two", MFD_CLOEXEC);
    struct buf text = {0};
    struct error err = ERROR_NONE;
    char digest[DIGEST_SIZE];
    uint64_t bytes;

    CHECK_INT(io_read_fd(one, &text), 0);
    for (int i = 0; i < 3; i++)
        io_write_all(two, text.data, text.length);
    for (int cut = 0; cut < 2; cut++) {
        _cleanup_codec_ struct codec_reader *codec = NULL;
        if (cut)
            CHECK_INT(ftruncate(two, (off_t)text.length * 3 - 9), 0);
        lseek(two, 0, SEEK_SET);
        CHECK_INT(codec_open(two, UINT64_MAX, &codec, &err), 0);
        int r = codec_finish(codec, digest, &bytes, &err);
        CHECK_INT(r, cut ? -EBADMSG : 0);
        if (!cut)
            CHECK_INT(bytes, 3 << 20);
    }
    buf_free(&text);
}

TEST(codec_compresses_both_ways)
{
    static const enum codec kinds[] = {CODEC_GZIP, CODEC_ZSTD};
    static const struct member members[] = {{"a", '0', "hello", 0644, 0, NULL}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        _cleanup_close_ int tar = make_tar(members, 1);
        _cleanup_close_ int packed = memfd_create("packed", MFD_CLOEXEC);
        _cleanup_codec_ struct codec_reader *codec = NULL;
        char digest[DIGEST_SIZE];
        char again[DIGEST_SIZE];
        uint64_t size;
        uint64_t bytes;
        struct error err = ERROR_NONE;
        CHECK_INT(codec_compress(tar, packed, kinds[i], digest, &size, &err), 0);
        CHECK_INT(digest_check_fd(packed, digest, &err), 0);
        lseek(packed, 0, SEEK_SET);
        CHECK_INT(codec_open(packed, UINT64_MAX, &codec, &err), 0);
        CHECK_INT(codec_kind(codec), kinds[i]);
        CHECK_INT(codec_finish(codec, again, &bytes, &err), 0);
        CHECK_INT(digest_check_fd(tar, again, &err), 0);
    }
}

TEST(codec_names_foreign_compressions)
{
    _cleanup_close_ int fd = memfd_create("xz", MFD_CLOEXEC);
    struct codec_reader *codec = NULL;
    struct error err = ERROR_NONE;

    CHECK_INT(pwrite(fd, "\3757zXZ\0........", 14, 0), 14);
    CHECK_INT(codec_open(fd, UINT64_MAX, &codec, &err), -EPROTONOSUPPORT);
    CHECK(strstr(err.text, "compressed with xz"));
}

/* What was unpacked, written as a layer again, unpacks to the same. */
TEST(tarout_round_trip)
{
    static const struct member members[] = {{"d/", '5', NULL, 0711, 0, NULL},
            {"d/a", '0', "hello", 04755, 0, "SCHILY.xattr.user.note=yes"},
            {"d/b", '1', "d/a", 0, 0, NULL}, {"d/c", '2', "/etc/a", 0, 0, NULL},
            {"d/.wh.gone", '0', NULL, 0, 0, NULL}, {"o/", '5', NULL, 0755, 0, NULL},
            {"o/.wh..wh..opq", '0', NULL, 0, 0, NULL}, {"zero", '3', NULL, 0666, 5, NULL},
            {"pax", '0', "p", 0644, 0, "path=d/\303\274ber"}};
    struct layer_options o = options();
    struct place first;
    struct place second = open_place();
    struct layer_result result;
    struct error err = ERROR_NONE;
    _cleanup_tarout_ struct tarout *out = NULL;
    char digest[DIGEST_SIZE];
    char name[200];

    if (geteuid() != 0)
        SKIP("needs root");
    CHECK_INT(unpack(members, ARRAY_SIZE(members), &first, &result, &err), 0);
    memset(name, 'n', sizeof(name) - 1);
    name[199] = '\0';
    _cleanup_close_ int sparse = openat(first.root_fd, name, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    CHECK_INT(pwrite(sparse, "begin", 5, 0), 5);
    CHECK_INT(pwrite(sparse, "end", 3, 64 << 20), 3);
    _cleanup_close_ int tar = memfd_create("tar", MFD_CLOEXEC);
    CHECK_INT(tarout_open(tar, &out, &err), 0);
    CHECK_INT(tarout_add_tree(out, first.root_fd, true, &err), 0);
    CHECK_INT(tarout_finish(out, digest, NULL, &err), 0);
    CHECK_INT(digest_check_fd(tar, digest, &err), 0);
    CHECK(lseek(tar, 0, SEEK_END) < 1 << 20); /* holes take no room */
    lseek(tar, 0, SEEK_SET);
    CHECK_INT(layer_unpack(tar, second.root_fd, &o, &result, &err), 0);
    lseek(tar, 0, SEEK_SET);
    int r = layer_compare(tar, first.root_fd, &o, &result, &err);
    if (r < 0)
        test_report(__FILE__, __LINE__, "%s", err.text);
    CHECK_INT(layer_count(first.root_fd), layer_count(second.root_fd));
    CHECK(is_whiteout(&second, "d/gone"));
    CHECK(is_opaque(&second, "o"));
    struct stat st;
    CHECK_INT(fstatat(second.root_fd, name, &st, 0), 0);
    CHECK_INT(st.st_size, (64 << 20) + 3);
    CHECK(st.st_blocks * 512 < 1 << 20);
    close_place(&first);
    close_place(&second);
}

/* ---- copying into a folder that is in use -----------------------------------------------------
 */

static int copy(const struct member *members, size_t count, const struct place *place,
        uint64_t resolve, struct layer_result *result, struct error *err)
{
    struct layer_options o = {.owners_ignored = true, .limit = UINT64_MAX, .resolve = resolve};
    _cleanup_close_ int fd = make_tar(members, count);

    return layer_copy(fd, place->root_fd, &o, result, err);
}

#define OUTSIDE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

TEST(copy_replaces_what_is_there)
{
    static const struct member members[] = {{"kept/", '5', NULL, 0700, 0, NULL},
            {"kept/.wh.f", '0', "w", 06755, 0, NULL}, {"f", '0', "new", 0644, 0, NULL},
            {"hard", '1', "f", 0, 0, NULL}, {"pipe", '6', NULL, 0600, 0, NULL},
            {"l", '2', "/nowhere", 0, 0, NULL}, {"n", '3', NULL, 0666, 5, NULL},
            {"n0", '3', NULL, 0666, 0, NULL}};
    struct place place = open_place();
    struct layer_result result;
    struct error err = ERROR_NONE;
    struct stat st;

    mkdirat(place.root_fd, "kept", 0755);
    symlinkat("../victim", place.root_fd, "f");
    symlinkat("../victim", place.root_fd, "pipe");
    mkfifoat(place.root_fd, "l", 0600);
    int r = copy(members, ARRAY_SIZE(members), &place, OUTSIDE, &result, &err);
    if (r < 0)
        test_report(__FILE__, __LINE__, "%s", err.text);
    CHECK_INT(result.left_out, 2);
    CHECK(fstatat(place.outer_fd, "victim", &st, 0) < 0);
    CHECK_INT(fstatat(place.root_fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
    CHECK(S_ISREG(st.st_mode) && st.st_size == 3 && st.st_nlink == 2);
    CHECK_INT(fstatat(place.root_fd, "kept", &st, 0), 0);
    CHECK_INT(st.st_mode & 07777, 0755);
    CHECK_INT(fstatat(place.root_fd, "kept/.wh.f", &st, 0), 0);
    CHECK_INT(st.st_mode & 07777, 0755); /* no set-user-id bit without the owner */
    CHECK_INT(fstatat(place.root_fd, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
    CHECK(S_ISLNK(st.st_mode));
    close_place(&place);
}

TEST(copy_refuses_malice)
{
    static const struct {
        struct member member;
        const char *part;
        uint64_t resolve;
    } cases[] = {
            {{"../out", '0', "x", 0, 0, NULL}, "the name has \"..\"", OUTSIDE},
            {{"up/out", '0', "x", 0, 0, NULL}, "ELOOP", OUTSIDE},
            {{"up/root/folder/x", '0', "x", 0, 0, NULL}, "ELOOP", OUTSIDE},
            {{"up/", '5', NULL, 0755, 0, NULL}, "what is there is no folder", OUTSIDE},
            {{"file/", '5', NULL, 0755, 0, NULL}, "what is there is no folder", OUTSIDE},
            {{"folder", '0', "x", 0, 0, NULL}, "only a folder can replace", OUTSIDE},
            {{"folder", '2', "x", 0, 0, NULL}, "only a folder can replace", OUTSIDE},
            {{"h", '1', "up/victim", 0, 0, NULL}, "hard link to \"up/victim\"", OUTSIDE},
            {{"h", '1', "../victim", 0, 0, NULL}, "the name has \"..\"", OUTSIDE},
            {{"h", '1', "up/victim", 0, 0, NULL}, "ENOENT", RESOLVE_IN_ROOT},
            {{".", '0', "x", 0, 0, NULL}, "it has no name", OUTSIDE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct place place = open_place();
        struct layer_result result;
        struct error err = ERROR_NONE;
        struct stat st;
        mknodat(place.outer_fd, "victim", S_IFREG | 0600, 0);
        mkdirat(place.root_fd, "folder", 0755);
        mknodat(place.root_fd, "file", S_IFREG | 0600, 0);
        symlinkat("..", place.root_fd, "up");
        int r = copy(&cases[i].member, 1, &place, cases[i].resolve, &result, &err);
        bool escaped = fstatat(place.outer_fd, "out", &st, 0) == 0 ||
                       fstatat(place.outer_fd, "victim", &st, 0) < 0 || st.st_nlink != 1;
        close_place(&place);
        if (r >= 0 || !strstr(err.text, cases[i].part) || escaped)
            test_report(__FILE__, __LINE__, "case %zu: %d \"%s\"", i, r, err.text);
    }
}

TEST(tarout_leaves_the_kernels_files)
{
    _cleanup_close_ int proc = open("/proc/self", O_PATH | O_CLOEXEC);
    _cleanup_close_ int tar = memfd_create("tar", MFD_CLOEXEC);
    _cleanup_tarout_ struct tarout *out = NULL;
    struct error err = ERROR_NONE;

    CHECK_INT(tarout_open(tar, &out, &err), 0);
    CHECK_INT(tarout_add_node(out, proc, "x", &err), -EOPNOTSUPP);
}

TEST_MAIN()
