#include "image/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

struct tar_reader {
    struct codec_reader *codec;
    struct archive *archive;
    struct archive_entry *entry;
    locale_t utf8; /* names are bytes to us; libarchive wants a locale that can hold them */
    locale_t before;
    struct error error; /* why the codec stopped */
};

static la_ssize_t feed(struct archive *archive, void *data, const void **ret)
{
    struct tar_reader *reader = data;

    ssize_t got = codec_read(reader->codec, ret, &reader->error);
    if (got < 0)
        archive_set_error(archive, reader->error.errnum, "%s", reader->error.text);
    return got < 0 ? ARCHIVE_FATAL : got;
}

/* The codec's own reason, or else libarchive's. */
static int failed(struct tar_reader *reader, struct error *err)
{
    const char *why = archive_error_string(reader->archive);

    if (reader->error.errnum && err)
        *err = reader->error;
    if (reader->error.errnum)
        return -reader->error.errnum;
    return error_set(err, EBADMSG, "not a valid tar archive: %s", why ? why : "unknown reason");
}

int tar_open(struct codec_reader *codec, struct tar_reader **ret, struct error *err)
{
    _cleanup_tar_ struct tar_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return error_set(err, ENOMEM, "out of memory");
    reader->codec = codec;
    reader->archive = archive_read_new();
    if (!reader->archive)
        return error_set(err, ENOMEM, "out of memory");
    reader->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (reader->utf8)
        reader->before = uselocale(reader->utf8);
    archive_read_support_format_tar(reader->archive);
    archive_read_support_format_empty(reader->archive);
    if (archive_read_open(reader->archive, reader, NULL, feed, NULL) != ARCHIVE_OK)
        return failed(reader, err);
    *ret = take_ptr(reader);
    return 0;
}

void tar_close(struct tar_reader *reader)
{
    if (!reader)
        return;
    archive_read_free(reader->archive);
    if (reader->utf8) {
        uselocale(reader->before ? reader->before : LC_GLOBAL_LOCALE);
        freelocale(reader->utf8);
    }
    free(reader);
}

static int fill(struct archive_entry *entry, struct tar_entry *ret, struct error *err)
{
    const char *path = archive_entry_pathname(entry);
    const char *hardlink = archive_entry_hardlink(entry);
    const char *symlink = archive_entry_symlink(entry);

    if (!path)
        return error_set(err, EBADMSG, "an entry has no readable name");
    if (strlen(path) > TAR_NAME_MAX || (hardlink && strlen(hardlink) > TAR_NAME_MAX) ||
            (symlink && strlen(symlink) > TAR_NAME_MAX))
        return error_set(
                err, ENAMETOOLONG, "an entry's name is longer than %d bytes", TAR_NAME_MAX);
    int64_t uid = archive_entry_uid(entry);
    int64_t gid = archive_entry_gid(entry);
    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return error_set(err, EBADMSG, "entry \"%s\": its owner is not a user id", path);
    *ret = (struct tar_entry){.path = path,
            .hardlink = hardlink,
            .symlink = symlink,
            .mode = (archive_entry_mode(entry) & 07777) | archive_entry_filetype(entry),
            .uid = (uid_t)uid,
            .gid = (gid_t)gid,
            .size = archive_entry_size(entry),
            .device = makedev((unsigned)archive_entry_rdevmajor(entry),
                    (unsigned)archive_entry_rdevminor(entry)),
            .mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)}};
    return 1;
}

int tar_next(struct tar_reader *reader, struct tar_entry *ret, struct error *err)
{
    int r = archive_read_next_header(reader->archive, &reader->entry);

    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
        return failed(reader, err);
    archive_entry_xattr_reset(reader->entry);
    return fill(reader->entry, ret, err);
}

int tar_next_xattr(
        struct tar_reader *reader, const char **ret_name, const void **ret, size_t *ret_size)
{
    return archive_entry_xattr_next(reader->entry, ret_name, ret, ret_size) == ARCHIVE_OK;
}

int tar_read(struct tar_reader *reader, const void **ret, size_t *ret_length, int64_t *ret_offset,
        struct error *err)
{
    int r = archive_read_data_block(reader->archive, ret, ret_length, ret_offset);

    if (r == ARCHIVE_EOF)
        return 0;
    return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 1 : failed(reader, err);
}
