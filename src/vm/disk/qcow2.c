#include "vm/disk/qcow2.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "vm/disk/file.h"

#define OFFSET_MASK 0x00fffffffffffe00ULL
#define ENTRY_COPIED                                                                               \
    (1ULL << 63) /* only this image uses the cluster: it may be written in place                   \
                  */
#define ENTRY_COMPRESSED (1ULL << 62)
#define ENTRY_ZERO 1ULL
#define L1_SIZE_MAX (32U << 20) /* bytes, as QEMU has it */
#define TABLES_CACHED 32        /* L2 tables in memory: 2 MiB with clusters of 64 KiB */
#define CLUSTER_BITS_MIN 9
#define CLUSTER_BITS_MAX 21
#define INCOMPATIBLE_DIRTY 1ULL
#define INCOMPATIBLE_CORRUPT 2ULL
#define INCOMPATIBLE_COMPRESSION 8ULL
#define COMPRESSED_SECTOR 512

struct header {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_size, cluster_bits;
    uint64_t size;
    uint32_t crypt_method, l1_size;
    uint64_t l1_offset, refcount_offset;
    uint32_t refcount_clusters, snapshots;
    uint64_t snapshots_offset;
    /* version 3 */
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order, header_length;
    uint8_t compression;
    uint8_t padding[7];
} __attribute__((packed));

#define HEADER_V2 72

/* A table in memory, in the file's byte order. */
struct table {
    uint64_t offset; /* in the file; 0: this place of the cache is free */
    uint64_t used;   /* for finding the one that was not used longest */
    uint32_t l1_index;
    bool dirty;
    uint64_t *entries;
};

struct qcow2 {
    struct disk disk;
    int fd;
    struct disk *backing;
    unsigned cluster_bits;
    uint64_t cluster_size;
    uint64_t l2_entries; /* in a table */
    uint64_t *l1;        /* in host order */
    uint32_t l1_count;
    uint64_t l1_offset;
    bool l1_dirty;
    uint64_t *refcount_table; /* in host order */
    uint64_t refcount_count, refcount_offset;
    unsigned refcount_bits_log2;
    uint64_t end; /* of the file, in whole clusters: where new ones are taken */
    uint8_t compression;
    struct table cache[TABLES_CACHED];
    uint64_t clock;
    uint8_t *scratch;  /* a cluster */
    uint8_t *inflated; /* the last compressed cluster that was read */
    uint64_t inflated_entry;
};

static struct qcow2 *qcow2_of(struct disk *disk)
{
    return (struct qcow2 *)disk; /* its first member */
}

/* ---- header ---- */

static void header_to_host(struct header *h)
{
    h->magic = be32toh(h->magic);
    h->version = be32toh(h->version);
    h->backing_offset = be64toh(h->backing_offset);
    h->backing_size = be32toh(h->backing_size);
    h->cluster_bits = be32toh(h->cluster_bits);
    h->size = be64toh(h->size);
    h->crypt_method = be32toh(h->crypt_method);
    h->l1_size = be32toh(h->l1_size);
    h->l1_offset = be64toh(h->l1_offset);
    h->refcount_offset = be64toh(h->refcount_offset);
    h->refcount_clusters = be32toh(h->refcount_clusters);
    h->incompatible = be64toh(h->incompatible);
    h->refcount_order = be32toh(h->refcount_order);
    h->header_length = be32toh(h->header_length);
}

static int check_features(const struct header *h, const char *path, struct error *err)
{
    uint64_t unknown = h->incompatible & ~(INCOMPATIBLE_DIRTY | INCOMPATIBLE_COMPRESSION);

    if (h->incompatible & INCOMPATIBLE_CORRUPT)
        return error_set(err, EBADMSG,
                "%s: marked as corrupt; repair it with "
                "'qemu-img check -r all %s'",
                path, path);
    if (h->incompatible & INCOMPATIBLE_DIRTY)
        return error_set(err, EBADMSG,
                "%s: its reference counts are marked as stale; repair them "
                "with 'qemu-img check -r leaks %s'",
                path, path);
    if (unknown)
        return error_set(err, EOPNOTSUPP,
                "%s: needs qcow2 features 0x%" PRIx64 " (external data "
                "file or extended L2 entries) that are not offered here; convert it with "
                "'qemu-img convert -O qcow2'",
                path, unknown);
    if (h->crypt_method)
        return error_set(err, EOPNOTSUPP, "%s: encrypted images are not offered here", path);
    if (h->snapshots)
        return error_set(err, EOPNOTSUPP,
                "%s: has internal snapshots, which writing here would not "
                "keep; convert it with 'qemu-img convert -O qcow2'",
                path);
    if (h->compression > 1)
        return error_set(err, EOPNOTSUPP, "%s: compressed in a way that is not known (%u)", path,
                h->compression);
    return 0;
}

static int damaged(const char *path, const char *what, struct error *err)
{
    return error_set(err, EBADMSG,
            "%s: its qcow2 header is damaged: %s; take a copy of the image, or make it anew", path,
            what);
}

static int read_header(int fd, const char *path, struct header *h, struct error *err)
{
    int r;

    *h = (struct header){0};
    r = file_read(fd, 0, h, sizeof(*h));
    if (r < 0)
        return error_sys(err, -r, "read %s", path);
    header_to_host(h);
    if (h->magic != QCOW2_MAGIC)
        return error_set(err, EBADMSG, "%s: not a qcow2 image", path);
    if (h->version != 2 && h->version != 3)
        return error_set(
                err, EOPNOTSUPP, "%s: qcow2 version %u; 2 and 3 are known", path, h->version);
    if (h->version == 2) {
        h->incompatible = 0;
        h->refcount_order = 4;
        h->header_length = HEADER_V2;
    }
    if (h->header_length <= offsetof(struct header, compression))
        h->compression = 0;
    if (h->cluster_bits < CLUSTER_BITS_MIN || h->cluster_bits > CLUSTER_BITS_MAX)
        return damaged(path, "cluster size", err);
    if (h->refcount_order > 6)
        return damaged(path, "reference count width", err);
    return check_features(h, path, err);
}

int qcow2_backing_name(int fd, const char *path, char name[QCOW2_NAME_MAX + 1], struct error *err)
{
    struct header h;
    int r = read_header(fd, path, &h, err);

    if (r < 0)
        return r;
    memset(name, 0, QCOW2_NAME_MAX + 1);
    if (!h.backing_offset)
        return 0;
    if (h.backing_size > QCOW2_NAME_MAX || h.backing_offset > (1U << h.cluster_bits))
        return damaged(path, "backing file's name", err);
    r = file_read(fd, h.backing_offset, name, h.backing_size);
    return r < 0 ? error_sys(err, -r, "read %s", path) : 0;
}

/* A table of big-endian 64-bit words into host order. */
static int read_table(int fd, uint64_t offset, uint64_t count, uint64_t **ret)
{
    _cleanup_free_ uint64_t *table = calloc(count ? count : 1, sizeof(*table));

    if (!table)
        return -ENOMEM;
    int r = file_read(fd, offset, table, count * sizeof(*table));
    if (r < 0)
        return r;
    for (uint64_t i = 0; i < count; i++)
        table[i] = be64toh(table[i]);
    *ret = take_ptr(table);
    return 0;
}

static int check_layout(
        const struct header *h, uint64_t file_size, const char *path, struct error *err)
{
    uint64_t cluster = 1ULL << h->cluster_bits;
    uint64_t covered = cluster * (cluster / 8); /* by one L2 table */
    uint64_t needed = h->size / covered + (h->size % covered != 0);

    if (h->size % DISK_SECTOR || h->size > (1ULL << 56))
        return damaged(path, "size of the disk", err);
    if (h->l1_size < needed || (uint64_t)h->l1_size * 8 > L1_SIZE_MAX)
        return damaged(path, "L1 table is too small or too large", err);
    if (h->l1_offset % cluster || h->l1_offset > file_size ||
            (uint64_t)h->l1_size * 8 > file_size - h->l1_offset)
        return damaged(path, "the file is cut short, or its L1 table lies outside it", err);
    if (h->refcount_offset % cluster || h->refcount_offset > file_size || !h->refcount_clusters ||
            (uint64_t)h->refcount_clusters * cluster > L1_SIZE_MAX ||
            (uint64_t)h->refcount_clusters * cluster > file_size - h->refcount_offset)
        return damaged(path, "reference count table lies outside the file", err);
    return 0;
}

/* ---- clusters ---- */

static bool is_cluster(const struct qcow2 *q, uint64_t offset)
{
    return offset && offset % q->cluster_size == 0 && offset < q->end;
}

static int write_refcount(struct qcow2 *q, uint64_t cluster);

/* Takes a new cluster at the end of the file, with a reference count of one. */
static int take_cluster(struct qcow2 *q, uint64_t *ret)
{
    uint64_t offset = q->end;

    q->end += q->cluster_size;
    int r = write_refcount(q, offset >> q->cluster_bits);
    if (r < 0)
        return r;
    *ret = offset;
    return 0;
}

/* The block of reference counts that has this cluster's, made if there is none. A new block counts
 * itself, hence the second call. */
static int find_refcount_block(struct qcow2 *q, uint64_t index, uint64_t *ret)
{
    if (index >= q->refcount_count)
        return -ENOSPC; /* with clusters of 64 KiB the table covers 16 TiB */
    if (q->refcount_table[index]) {
        *ret = q->refcount_table[index] & OFFSET_MASK;
        return is_cluster(q, *ret) ? 0 : -EIO;
    }

    uint64_t offset = q->end, entry = htobe64(offset);
    q->end += q->cluster_size;
    memset(q->scratch, 0, q->cluster_size);
    int r = file_write(q->fd, offset, q->scratch, q->cluster_size);
    if (r == 0 && fdatasync(q->fd) < 0) /* the block before the entry that names it */
        r = -errno;
    if (r == 0)
        r = file_write(q->fd, q->refcount_offset + index * 8, &entry, sizeof(entry));
    if (r < 0)
        return r;
    q->refcount_table[index] = offset;
    *ret = offset;
    return write_refcount(q, offset >> q->cluster_bits);
}

/* Sets the reference count of a cluster to one. */
static int write_refcount(struct qcow2 *q, uint64_t cluster)
{
    uint64_t in_block_log2 = q->cluster_bits + 3 - q->refcount_bits_log2;
    uint64_t index = cluster >> in_block_log2;
    uint64_t slot = cluster & ((1ULL << in_block_log2) - 1);
    uint64_t block = 0;
    int r = find_refcount_block(q, index, &block);

    if (r < 0)
        return r;
    if (q->refcount_bits_log2 >= 3) { /* whole bytes, big-endian: the last one is the 1 */
        uint64_t bytes = 1ULL << (q->refcount_bits_log2 - 3);
        uint8_t value[8] = {0};
        value[bytes - 1] = 1;
        return file_write(q->fd, block + slot * bytes, value, bytes);
    }
    uint64_t bit = slot << q->refcount_bits_log2;
    uint8_t byte;
    r = file_read(q->fd, block + bit / 8, &byte, 1);
    byte = (uint8_t)(byte | 1U << (bit % 8));
    return r < 0 ? r : file_write(q->fd, block + bit / 8, &byte, 1);
}

/* ---- L2 tables ---- */

static int write_back(struct qcow2 *q, struct table *table)
{
    if (!table->dirty)
        return 0;
    int r = file_write(q->fd, table->offset, table->entries, q->cluster_size);
    if (r == 0)
        table->dirty = false;
    return r;
}

static int sync_file(struct qcow2 *q)
{
    return fdatasync(q->fd) < 0 ? -errno : 0;
}

static int write_l1(struct qcow2 *q)
{
    _cleanup_free_ uint64_t *copy = calloc(q->l1_count ? q->l1_count : 1, sizeof(*copy));

    if (!copy)
        return -ENOMEM;
    for (uint32_t i = 0; i < q->l1_count; i++)
        copy[i] = htobe64(q->l1[i]);
    return file_write(q->fd, q->l1_offset, copy, q->l1_count * sizeof(*copy));
}

/* Data and counts, then L2 tables, then L1: each durable before what names it. */
static int qcow2_flush(struct disk *disk)
{
    struct qcow2 *q = qcow2_of(disk);
    bool dirty = false;
    int r;

    if (disk->read_only)
        return 0;
    r = sync_file(q);
    for (int i = 0; r == 0 && i < TABLES_CACHED; i++) {
        dirty |= q->cache[i].dirty;
        r = write_back(q, &q->cache[i]);
    }
    if (r == 0 && (dirty || q->l1_dirty))
        r = sync_file(q);
    if (r == 0 && q->l1_dirty) {
        r = write_l1(q);
        if (r == 0)
            r = sync_file(q);
        q->l1_dirty = r != 0;
    }
    return r;
}

/* A place in the cache for one more table. Writing one back means a whole flush: its data has to be
 * there first. */
static int evict(struct qcow2 *q, struct table **ret)
{
    struct table *oldest = &q->cache[0];

    for (int i = 1; i < TABLES_CACHED; i++)
        if (q->cache[i].used < oldest->used)
            oldest = &q->cache[i];
    if (oldest->dirty) {
        int r = qcow2_flush(&q->disk);
        if (r < 0)
            return r;
    }
    if (!oldest->entries)
        oldest->entries = malloc(q->cluster_size);
    if (!oldest->entries)
        return -ENOMEM;
    oldest->offset = 0;
    *ret = oldest;
    return 0;
}

static struct table *find_cached(struct qcow2 *q, uint64_t offset)
{
    for (int i = 0; i < TABLES_CACHED; i++)
        if (q->cache[i].offset == offset) {
            q->cache[i].used = ++q->clock;
            return &q->cache[i];
        }
    return NULL;
}

/* A table with nothing in it, or with what a table that others share had in it. */
static int make_table(struct qcow2 *q, uint32_t l1_index, uint64_t copy_of, struct table **ret)
{
    struct table *table;
    uint64_t offset = 0;
    int r = evict(q, &table);

    if (r == 0)
        r = take_cluster(q, &offset);
    if (r < 0)
        return r;
    memset(table->entries, 0, q->cluster_size);
    if (copy_of)
        r = file_read(q->fd, copy_of, table->entries, q->cluster_size);
    if (r < 0)
        return r;
    *table = (struct table){offset, ++q->clock, l1_index, true, table->entries};
    q->l1[l1_index] = offset | ENTRY_COPIED;
    q->l1_dirty = true;
    *ret = table;
    return 0;
}

/* The L2 table for a disk offset; NULL in `*ret` when there is none and none is to be made. */
static int get_table(struct qcow2 *q, uint64_t at, bool for_write, struct table **ret)
{
    uint32_t index = (uint32_t)((at >> q->cluster_bits) / q->l2_entries);
    uint64_t entry = q->l1[index], offset = entry & OFFSET_MASK;
    struct table *table;

    *ret = NULL;
    if (!offset)
        return for_write ? make_table(q, index, 0, ret) : 0;
    if (!is_cluster(q, offset))
        return -EIO;
    if (for_write && !(entry & ENTRY_COPIED))
        return make_table(q, index, offset, ret);
    table = find_cached(q, offset);
    if (!table) {
        int r = evict(q, &table);
        if (r == 0)
            r = file_read(q->fd, offset, table->entries, q->cluster_size);
        if (r < 0)
            return r;
        *table = (struct table){offset, ++q->clock, index, false, table->entries};
    }
    *ret = table;
    return 0;
}

static uint64_t slot_of(const struct qcow2 *q, uint64_t at)
{
    return (at >> q->cluster_bits) % q->l2_entries;
}

static void set_entry(struct table *table, uint64_t slot, uint64_t entry)
{
    table->entries[slot] = htobe64(entry);
    table->dirty = true;
}

/* ---- reading ---- */

static int inflate_cluster(const uint8_t *in, size_t size, uint8_t *out, size_t out_size)
{
    z_stream stream = {
            .next_in = (uint8_t *)(uintptr_t)in,
            .avail_in = (unsigned)size,
            .next_out = out,
            .avail_out = (unsigned)out_size,
    };

    if (inflateInit2(&stream, -12) != Z_OK) /* raw deflate with a window of 4 KiB */
        return -ENOMEM;
    int r = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    /* the input's length is only known in sectors: it need not be used up */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && stream.avail_out == 0 ? 0 : -EIO;
}

static int unzstd_cluster(const uint8_t *in, size_t size, uint8_t *out, size_t out_size)
{
    ZSTD_inBuffer input = {in, size, 0};
    ZSTD_outBuffer output = {out, out_size, 0};
    ZSTD_DStream *stream = ZSTD_createDStream();

    if (!stream)
        return -ENOMEM;
    while (output.pos < output.size && input.pos < input.size) {
        size_t before = input.pos + output.pos;
        size_t r = ZSTD_decompressStream(stream, &output, &input);
        if (ZSTD_isError(r) || input.pos + output.pos == before)
            break;
    }
    ZSTD_freeDStream(stream);
    return output.pos == output.size ? 0 : -EIO;
}

/* The compressed cluster of an entry, into q->inflated. */
static int read_compressed(struct qcow2 *q, uint64_t entry)
{
    unsigned size_shift = 62 - (q->cluster_bits - 8);
    uint64_t offset = entry & ((1ULL << size_shift) - 1);
    uint64_t sectors = ((entry >> size_shift) & ((1ULL << (q->cluster_bits - 8)) - 1)) + 1;
    uint64_t size = sectors * COMPRESSED_SECTOR - offset % COMPRESSED_SECTOR;

    if (q->inflated_entry == entry)
        return 0;
    _cleanup_free_ uint8_t *packed = malloc(size);
    if (!packed)
        return -ENOMEM;
    if (!q->inflated)
        q->inflated = malloc(q->cluster_size);
    if (!q->inflated)
        return -ENOMEM;
    q->inflated_entry = 0;
    int r = offset < q->end ? file_read(q->fd, offset, packed, size) : -EIO;
    if (r == 0)
        r = (q->compression ? unzstd_cluster : inflate_cluster)(
                packed, size, q->inflated, q->cluster_size);
    if (r == 0)
        q->inflated_entry = entry;
    return r;
}

static int read_backing(struct qcow2 *q, uint64_t at, const struct iovec *iov)
{
    uint64_t size = q->backing ? q->backing->size : 0;
    uint64_t there = at >= size ? 0 : size - at < iov->iov_len ? size - at : iov->iov_len;
    struct iovec part = {iov->iov_base, there};

    memset((char *)iov->iov_base + there, 0, iov->iov_len - there);
    return there ? q->backing->ops->read(q->backing, at, &part, 1) : 0;
}

/* Part of one cluster. */
static int read_part(struct qcow2 *q, uint64_t at, const struct iovec *iov)
{
    struct table *table;
    uint64_t in_cluster = at & (q->cluster_size - 1);
    int r = get_table(q, at, false, &table);

    if (r < 0)
        return r;
    uint64_t entry = table ? be64toh(table->entries[slot_of(q, at)]) : 0;
    if (entry & ENTRY_COMPRESSED) {
        r = read_compressed(q, entry);
        if (r == 0)
            memcpy(iov->iov_base, q->inflated + in_cluster, iov->iov_len);
        return r;
    }
    if (entry & ENTRY_ZERO) {
        memset(iov->iov_base, 0, iov->iov_len);
        return 0;
    }
    if (!(entry & OFFSET_MASK))
        return read_backing(q, at, iov);
    if (!is_cluster(q, entry & OFFSET_MASK))
        return -EIO;
    return file_read(q->fd, (entry & OFFSET_MASK) + in_cluster, iov->iov_base, iov->iov_len);
}

/* ---- writing ---- */

/* A cluster of its own for `at`, holding what the disk has there outside [from, from + length). */
static int copy_cluster(struct qcow2 *q, uint64_t at, uint64_t from, uint64_t length, uint64_t *ret)
{
    uint64_t start = at & ~(q->cluster_size - 1);
    struct iovec whole = {q->scratch, q->cluster_size};
    int r = take_cluster(q, ret); /* uses the scratch cluster itself */

    if (r < 0 || (from == start && length == q->cluster_size))
        return r;
    r = read_part(q, start, &whole);
    return r < 0 ? r : file_write(q->fd, *ret, q->scratch, q->cluster_size);
}

static int write_part(struct qcow2 *q, uint64_t at, const struct iovec *iov)
{
    struct table *table;
    uint64_t in_cluster = at & (q->cluster_size - 1);
    int r = get_table(q, at, true, &table);

    if (r < 0)
        return r;
    uint64_t entry = be64toh(table->entries[slot_of(q, at)]);
    uint64_t offset = entry & OFFSET_MASK;
    bool own = entry & ENTRY_COPIED && !(entry & (ENTRY_COMPRESSED | ENTRY_ZERO));
    if (own && !is_cluster(q, offset))
        return -EIO;
    if (!own)
        r = copy_cluster(q, at, at, iov->iov_len, &offset);
    if (r == 0)
        r = file_write(q->fd, offset + in_cluster, iov->iov_base, iov->iov_len);
    if (r < 0 || own)
        return r;
    r = get_table(q, at, true, &table); /* copying may have read other tables */
    if (r == 0)
        set_entry(table, slot_of(q, at), offset | ENTRY_COPIED);
    return r;
}

/* Runs `part` on each piece of the transfer that lies in one cluster and one buffer. */
static int for_each_part(struct qcow2 *q, uint64_t at, const struct iovec *iov, size_t count,
        int (*part)(struct qcow2 *q, uint64_t at, const struct iovec *iov))
{
    for (size_t i = 0; i < count; i++) {
        struct iovec left = iov[i];
        while (left.iov_len) {
            uint64_t room = q->cluster_size - (at & (q->cluster_size - 1));
            struct iovec piece = {left.iov_base, left.iov_len < room ? left.iov_len : room};
            int r = part(q, at, &piece);
            if (r < 0)
                return r;
            at += piece.iov_len;
            left.iov_base = (char *)left.iov_base + piece.iov_len;
            left.iov_len -= piece.iov_len;
        }
    }
    return 0;
}

static int qcow2_read(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count)
{
    return for_each_part(qcow2_of(disk), offset, iov, count, read_part);
}

static int qcow2_write(struct disk *disk, uint64_t offset, const struct iovec *iov, size_t count)
{
    return for_each_part(qcow2_of(disk), offset, iov, count, write_part);
}

/* ---- zeros and discards ---- */

/* Part of a cluster is written with zeros; a whole one stops having content. The clusters given up
 * are punched out of the file; they stay counted, since new ones come from the file's end. */
static int zero_part(struct qcow2 *q, uint64_t at, uint64_t length, bool keep)
{
    struct table *table;
    int r = get_table(q, at, true, &table);

    if (r < 0)
        return r;
    uint64_t slot = slot_of(q, at), entry = be64toh(table->entries[slot]);
    uint64_t offset = entry & OFFSET_MASK;
    bool own = entry & ENTRY_COPIED && !(entry & ENTRY_COMPRESSED);
    if (own && is_cluster(q, offset)) {
        if (keep)
            return file_zero(q->fd, offset + (at & (q->cluster_size - 1)), length);
        if (length == q->cluster_size && file_punch(q->fd, offset, length) == 0)
            return 0; /* the cluster stays, as a hole */
    } else if (length == q->cluster_size) {
        uint64_t taken;
        r = take_cluster(q, &taken);
        if (r == 0 && ftruncate(q->fd, (off_t)q->end) < 0) /* a hole, which reads as zeros */
            r = -errno;
        if (r == 0)
            r = get_table(q, at, true, &table);
        if (r == 0)
            set_entry(table, slot, taken | ENTRY_COPIED);
        return r;
    }
    _cleanup_free_ uint8_t *zeros = calloc(1, length);
    return zeros ? write_part(q, at, &(struct iovec){zeros, length}) : -ENOMEM;
}

static int qcow2_clear(struct disk *disk, uint64_t offset, uint64_t length, enum disk_clear how)
{
    struct qcow2 *q = qcow2_of(disk);

    while (length) {
        uint64_t room = q->cluster_size - (offset & (q->cluster_size - 1));
        uint64_t piece = length < room ? length : room;
        int r = 0;
        if (how != DISK_DISCARD || piece == q->cluster_size)
            r = zero_part(q, offset, piece, how == DISK_ZERO_KEEP);
        if (r < 0)
            return r;
        offset += piece;
        length -= piece;
    }
    return 0;
}

/* ---- past the disk ---- */

/* Part of one cluster: where it lies, when it needs neither a new cluster nor inflating. */
static bool locate_part(
        struct qcow2 *q, uint64_t at, uint64_t length, bool for_write, struct disk_place *ret)
{
    struct table *table;
    uint64_t l1_entry = q->l1[(at >> q->cluster_bits) / q->l2_entries];

    if (for_write && !(l1_entry & ENTRY_COPIED))
        return false;
    if (get_table(q, at, false, &table) < 0)
        return false;
    uint64_t entry = table ? be64toh(table->entries[slot_of(q, at)]) : 0;
    uint64_t offset = entry & OFFSET_MASK;
    if (entry & (ENTRY_COMPRESSED | ENTRY_ZERO) || (for_write && !(entry & ENTRY_COPIED)))
        return false;
    if (!offset && !for_write && q->backing && at + length <= q->backing->size)
        return q->backing->ops->locate(q->backing, at, length, false, ret);
    *ret = (struct disk_place){q->fd, offset + (at & (q->cluster_size - 1))};
    return is_cluster(q, offset);
}

static bool qcow2_locate(
        struct disk *disk, uint64_t offset, uint64_t length, bool for_write, struct disk_place *ret)
{
    struct qcow2 *q = qcow2_of(disk);
    struct disk_place first = {.fd = -1}, next;

    for (uint64_t done = 0, piece; done < length; done += piece) {
        uint64_t at = offset + done, room = q->cluster_size - (at & (q->cluster_size - 1));
        piece = length - done < room ? length - done : room;
        if (!locate_part(q, at, piece, for_write, &next))
            return false;
        if (done == 0)
            first = next;
        else if (next.fd != first.fd || next.offset != first.offset + done)
            return false;
    }
    *ret = first;
    return length > 0;
}

/* The data's durability alone, while all tables on the disk are as they are in memory. */
static int qcow2_flush_file(const struct disk *disk)
{
    const struct qcow2 *q = (const struct qcow2 *)disk;

    if (disk->read_only || q->l1_dirty)
        return -1;
    for (int i = 0; i < TABLES_CACHED; i++)
        if (q->cache[i].dirty)
            return -1;
    return q->fd;
}

/* ---- opening and closing ---- */

static void qcow2_close(struct disk *disk)
{
    struct qcow2 *q = qcow2_of(disk);

    for (int i = 0; i < TABLES_CACHED; i++)
        free(q->cache[i].entries);
    free(q->l1);
    free(q->refcount_table);
    free(q->scratch);
    free(q->inflated);
    cleanup_close(&q->fd);
    if (q->backing)
        q->backing->ops->close(q->backing);
    free(q);
}

static const struct disk_ops qcow2_ops = {
        .name = "qcow2",
        .read = qcow2_read,
        .write = qcow2_write,
        .flush = qcow2_flush,
        .clear = qcow2_clear,
        .locate = qcow2_locate,
        .flush_file = qcow2_flush_file,
        .close = qcow2_close,
};

static int fill(struct qcow2 *q, uint64_t file_size, const char *path, struct error *err)
{
    struct header h;
    int r = read_header(q->fd, path, &h, err);

    if (r == 0)
        r = check_layout(&h, file_size, path, err);
    if (r < 0)
        return r;
    q->cluster_bits = h.cluster_bits;
    q->cluster_size = 1ULL << h.cluster_bits;
    q->l2_entries = q->cluster_size / 8;
    q->l1_count = h.l1_size;
    q->l1_offset = h.l1_offset;
    q->refcount_offset = h.refcount_offset;
    q->refcount_count = h.refcount_clusters * q->cluster_size / 8;
    q->refcount_bits_log2 = h.refcount_order;
    q->compression = h.compression;
    q->end = (file_size + q->cluster_size - 1) & ~(q->cluster_size - 1);
    q->disk.size = h.size;
    q->scratch = malloc(q->cluster_size);
    r = read_table(q->fd, q->l1_offset, q->l1_count, &q->l1);
    if (r == 0)
        r = read_table(q->fd, q->refcount_offset, q->refcount_count, &q->refcount_table);
    if (r < 0 || !q->scratch)
        return error_sys(err, r < 0 ? -r : ENOMEM, "read the tables of %s", path);
    return 0;
}

int qcow2_open(int fd, uint64_t size, const struct disk_config *config, struct disk *backing,
        struct disk **ret, struct error *err)
{
    struct qcow2 *q = calloc(1, sizeof(*q));

    if (!q) {
        cleanup_close(&fd);
        disk_close(backing);
        return error_set(err, ENOMEM, "out of memory");
    }
    q->disk = (struct disk){&qcow2_ops, 0, config->read_only};
    q->fd = fd;
    q->backing = backing;
    int r = fill(q, size, config->file.path, err);
    if (r < 0) {
        qcow2_close(&q->disk);
        return r;
    }
    *ret = &q->disk;
    return 0;
}
