#include "engine/template.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/cleanup.h"
#include "base/identity.h"
#include "base/io.h"
#include "proto/control.h"
#include "proto/snapshot.h"

#define IMAGE ".snap"  /* the snapshot */
#define PROOF ".proof" /* which file was verified; its time is that of the last use */
#define MAKING ".part" /* one that is being written; locked */
#define NAME_SIZE 64
#define ENTRIES_MAX 256

/* ---- the key --------------------------------------------------------------------------------- */

/* A file as it is now; another content is another file or has another time. */
static bool add_file(struct buf *key, const char *path)
{
    struct stat status;

    if (!path || stat(path, &status) < 0)
        return false;
    buf_printf(key, "%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRId64 ".%09ld\n",
            (uint64_t)status.st_dev, (uint64_t)status.st_ino, (uint64_t)status.st_size,
            (int64_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    return true;
}

/* Everything that the guest sees, and nothing of what stands behind it. */
static void add_machine(struct buf *key, struct arena *arena, const struct proto_machine *machine)
{
    struct proto_machine shape = *machine;
    struct proto_vsock vsock = {.cid = machine->vsock ? machine->vsock->cid : 0};

    shape.name = NULL;
    shape.kernel = shape.initrd = shape.snapshot = (struct proto_file){0};
    shape.disks.items = arena_new_array(arena, struct proto_disk, shape.disks.count);
    for (size_t i = 0; i < shape.disks.count; i++)
        shape.disks.items[i] = (struct proto_disk){
                .serial = machine->disks.items[i].serial,
                .read_only = machine->disks.items[i].read_only,
        };
    shape.nets.items = arena_new_array(arena, struct proto_net, shape.nets.count);
    for (size_t i = 0; i < shape.nets.count; i++)
        shape.nets.items[i] = (struct proto_net){
                .mac = machine->nets.items[i].mac, .mtu = machine->nets.items[i].mtu};
    shape.shares.items = arena_new_array(arena, struct proto_share, shape.shares.count);
    for (size_t i = 0; i < shape.shares.count; i++)
        shape.shares.items[i] = (struct proto_share){.tag = machine->shares.items[i].tag};
    shape.vsock = machine->vsock ? &vsock : NULL;
    shape.console.input = shape.console.output = (struct opt_i64){0};
    shape.report_fd = shape.control_fd = (struct opt_i64){0};
    _cleanup_json_ struct json_object *json = record_write(&proto_machine_record, &shape);
    buf_add_str(key, json_text(json));
}

void template_init(struct template *template, const char *folder, const char *program,
        const struct proto_machine *machine)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf key = {0};

    *template = (struct template){0};
    if (!folder || !add_file(&key, machine->kernel.path) || !add_file(&key, machine->initrd.path) ||
            !add_file(&key, program))
        return;
    add_machine(&key, &arena, machine);
    snprintf(template->key, sizeof(template->key), "%016" PRIx64 "%016" PRIx64,
            checksum64(key.data, key.length, 0), checksum64(key.data, key.length, 1));
    template->folder = folder;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int open_folder(const struct template *template, bool make)
{
    if (!template->folder)
        return -ENOENT;
    if (make) {
        int r = io_make_dirs_at(AT_FDCWD, template->folder, 0700);
        if (r < 0)
            return r;
    }
    int fd = open(template->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void name_of(const struct template *template, const char *ending, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s%s", template->key, ending);
}

static void remove_pair(int folder, const char *key)
{
    static const char *const endings[] = {IMAGE, PROOF};

    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof(name), "%.*s%s", TEMPLATE_KEY_SIZE - 1, key, endings[i]);
        (void)unlinkat(folder, name, 0);
    }
}

void template_drop(const struct template *template)
{
    _cleanup_close_ int folder = open_folder(template, false);

    if (folder >= 0)
        remove_pair(folder, template->key);
}

static void write_proof(const struct template *template, int folder, int image)
{
    char name[NAME_SIZE], text[IDENTITY_SIZE];

    name_of(template, PROOF, name);
    if (identity_of(image, text))
        (void)io_replace_file_at(folder, name, text, strlen(text), 0600, false);
}

/* Whether the memory was verified, of the very file that is there now. Notes the use. */
static bool has_proof(const struct template *template, int folder, int image)
{
    char name[NAME_SIZE], found[IDENTITY_SIZE], expected[IDENTITY_SIZE];

    name_of(template, PROOF, name);
    if (io_read_small_at(folder, name, found, sizeof(found)) <= 0 || !identity_of(image, expected))
        return false;
    (void)utimensat(folder, name, NULL, 0);
    return str_equal(found, expected);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int verify(const struct template *template, int folder, int image)
{
    _cleanup_arena_ struct arena arena = {0};
    struct proto_snapshot snapshot;
    int r = proto_snapshot_read(image, template->key, &arena, &snapshot, NULL);

    if (r == 0 && !str_equal(snapshot.header.label, template->key))
        r = -EBADMSG; /* another machine's, brought here */
    if (r < 0 || has_proof(template, folder, image))
        return r;
    r = proto_snapshot_verify_memory(image, template->key, &snapshot, NULL);
    if (r == 0)
        write_proof(template, folder, image);
    return r;
}

int template_open(const struct template *template)
{
    _cleanup_close_ int folder = open_folder(template, false), image = -1;
    char name[NAME_SIZE];

    if (folder < 0)
        return -1;
    name_of(template, IMAGE, name);
    image = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (image < 0)
        return -1;
    int r = verify(template, folder, image);
    if (proto_snapshot_is_bad(r))
        remove_pair(folder, template->key);
    return r < 0 ? -1 : take_fd(&image);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

struct entry {
    char key[TEMPLATE_KEY_SIZE];
    int64_t used_ns;
    uint64_t bytes;
};

static int newest_first(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;

    return a->used_ns < b->used_ns ? 1 : a->used_ns > b->used_ns ? -1 : 0;
}

/* A file that nobody writes any more: who made it was killed. */
static void remove_if_dead(int folder, const char *name)
{
    _cleanup_close_ int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
}

static bool read_entry(int folder, const char *name, struct entry *ret)
{
    struct stat image, proof;
    char other[NAME_SIZE];

    snprintf(ret->key, sizeof(ret->key), "%.*s", TEMPLATE_KEY_SIZE - 1, name);
    snprintf(other, sizeof(other), "%s" PROOF, ret->key);
    if (fstatat(folder, name, &image, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (fstatat(folder, other, &proof, AT_SYMLINK_NOFOLLOW) < 0)
        proof = image;
    ret->used_ns = (int64_t)proof.st_mtim.tv_sec * 1000000000 + proof.st_mtim.tv_nsec;
    ret->bytes = (uint64_t)image.st_blocks * 512;
    return true;
}

static void sweep(int folder)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct entry entries[ENTRIES_MAX];
    struct dirent *found;
    size_t count = 0;
    uint64_t bytes = 0;

    while (dir && count < ENTRIES_MAX && (found = readdir(dir))) {
        if (str_ends(found->d_name, MAKING))
            remove_if_dead(folder, found->d_name);
        if (str_ends(found->d_name, IMAGE) && read_entry(folder, found->d_name, &entries[count]))
            count++;
    }
    if (count)
        qsort(entries, count, sizeof(entries[0]), newest_first);
    for (size_t i = 0; i < count; i++) {
        bytes += entries[i].bytes;
        if (i >= TEMPLATES_MAX || (i > 0 && bytes > TEMPLATES_BYTES))
            remove_pair(folder, entries[i].key);
    }
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* The lock tells others that it is being written; it goes with the descriptor. */
static int open_part(int folder, const char *name, int *ret)
{
    _cleanup_close_ int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    *ret = take_fd(&fd);
    return 0;
}

int template_keep(const struct template *template, int control, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_close_ int folder = open_folder(template, true), image = -1;
    struct proto_control request = {.command = "snapshot", .label = template->key};
    char part[NAME_SIZE], name[NAME_SIZE];

    if (folder < 0)
        return error_sys(err, -folder, "keep templates in %s",
                template->folder ? template->folder : "no folder");
    name_of(template, MAKING, part);
    name_of(template, IMAGE, name);
    int r = open_part(folder, part, &image);
    if (r < 0)
        return error_sys(err, -r, "make the template %s", part);
    r = proto_control_ask(control, &request, image, &arena, NULL, err);
    if (r == 0 && renameat(folder, part, folder, name) < 0)
        r = error_sys(err, errno, "rename the template %s", part);
    if (r < 0) {
        (void)unlinkat(folder, part, 0);
        return r;
    }
    write_proof(template, folder, image);
    sweep(folder);
    return 0;
}
