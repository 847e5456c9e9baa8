/*
 * Images: fetched from registries, read from archives, kept in a store and laid under containers
 * and machines. This header is what the rest of the project uses; the others in this folder are its
 * parts.
 *
 * The store is a folder that several processes may use at once. Blobs are kept by their digest and
 * verified before anything reads them; a layer is unpacked once, whoever needs it. An interrupted
 * call leaves either what was there before or the finished thing.
 *
 * Names are given as skopeo gives them: "docker://host/name:tag", "oci:dir:tag",
 * "oci-archive:file:tag", "docker-archive:file:name:tag", "dir:path". A name without a transport is
 * looked up as registries.conf says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

/* Where things are. NULL members take the default named behind them. */
struct image_options {
    const char *root;            /* "/var/lib/viv/images" */
    const char *fetch_program;   /* "viv-fetch" beside this program, then in libexec */
    const char *registries_conf; /* containers-registries.conf(5); then the user's, then /etc's */
    const char *auth_file;       /* config.json; then $REGISTRY_AUTH_FILE, … see auth.h */
    const char
            *certs_dir;  /* DIR/HOST or DIR; then /etc/containers/certs.d and /etc/docker/certs.d */
    bool owners_ignored; /* unpack without owners and devices, for a user without a range */
};

struct image_store;

/* Opens the store and makes it if there is none. One handle is for one thread. -EACCES, -EROFS … */
int image_open(const struct image_options *options, struct image_store **ret, struct error *err);
void image_close(struct image_store *store); /* NULL is fine */

static inline void cleanup_image(struct image_store **store)
{
    image_close(*store);
}
#define _cleanup_image_ __attribute__((cleanup(cleanup_image)))

/* --- Progress ------------------------------------------------------------------------------- */

enum image_state {
    IMAGE_WAITING,
    IMAGE_LOADING,   /* bytes are on their way: done of total */
    IMAGE_VERIFYING, /* all bytes are there: digest, then unpacking */
    IMAGE_DONE,
    IMAGE_PRESENT, /* was in the store, or at the other end, already */
    IMAGE_NOTE,    /* no blob: `text` is for the user ("docker.io: 429, trying again in 3 s") */
};

struct image_event {
    enum image_state state;
    const char *digest; /* of the blob; NULL with IMAGE_NOTE */
    uint64_t done;      /* bytes */
    uint64_t total;     /* bytes; 0: unknown */
    const char *text;
};
typedef void (*image_event_fn)(const struct image_event *event, void *data);

/* --- Registries ----------------------------------------------------------------------------- */

enum image_pull_policy {
    IMAGE_PULL_ALWAYS,
    IMAGE_PULL_MISSING,
    IMAGE_PULL_NEVER,
    IMAGE_PULL_NEWER
};

enum image_tls { IMAGE_TLS_CONFIGURED, IMAGE_TLS_VERIFY, IMAGE_TLS_UNVERIFIED };

/* What talking to a registry needs beyond its name. */
struct image_access {
    const char *user; /* overrides what the auth file says */
    const char *password;
    enum image_tls tls; /* UNVERIFIED: any certificate, and plain http as the last resort */
    image_event_fn event;
    void *data; /* event's */
};

/* "sha256:<hex>" with its NUL; sha512 fits as well. */
#define IMAGE_ID_SIZE 136

/*
 * Makes an image of any source present in the store, named as the source is. `platform` is
 * "os/architecture[/variant]", NULL for this machine's. Writes the image's id. The error says which
 * platforms there are, what the registry answered, which certificate did not fit …
 */
int image_pull(struct image_store *store, const char *name, const char *platform,
        enum image_pull_policy policy, const struct image_access *access,
        char ret_id[IMAGE_ID_SIZE], struct error *err);

/* Sends an image of the store to any destination. */
struct image_push_options {
    const char *format;      /* "oci", "v2s2"; NULL: as it is, where the destination can hold it */
    const char *compression; /* "gzip", "zstd", for layers that are not compressed; NULL: gzip */
};
int image_push(struct image_store *store, const char *image, const char *destination,
        const struct image_push_options *options, const struct image_access *access,
        char ret_digest[IMAGE_ID_SIZE], struct error *err);

/* Asks the registry whether it takes the password, and keeps it in the auth file or its helper. */
int image_login(struct image_store *store, const char *registry, const struct image_access *access,
        struct error *err);
/* -ENOENT when nothing was kept for it. */
int image_logout(struct image_store *store, const char *registry, struct error *err);

/* Forgets all that the auth file itself keeps; what helpers keep is theirs. */
int image_logout_all(struct image_store *store, struct error *err);

/* Who is logged in there. -ENOENT: nobody. */
int image_login_name(struct image_store *store, const char *registry, struct arena *arena,
        const char **ret_user, struct error *err);

struct image_hit {
    const char *name;
    const char *description;
    uint64_t stars;
    bool official, automated;
};
/* -EOPNOTSUPP where the registry offers no search. Hits live in the arena. */
int image_search(struct image_store *store, const char *term, const struct image_access *access,
        struct arena *arena, struct image_hit **ret, size_t *ret_count, struct error *err);

/* All tags of a repository, as whole names: "docker.io/library/debian:12". A name with a tag is
 * refused; a short one is the first repository that it may mean and that is there. */
int image_tags(struct image_store *store, const char *name, const struct image_access *access,
        struct arena *arena, struct strv *ret, struct error *err);

/* --- What is in the store -------------------------------------------------------------------- */

struct image_info {
    const char *id;      /* digest of its configuration */
    const char *digest;  /* of its manifest */
    struct strv names;   /* "docker.io/library/debian:12"; none: dangling */
    struct strv digests; /* "docker.io/library/debian@sha256:…" */
    const char *platform;
    int64_t created; /* seconds since 1970; 0: unknown */
    int64_t added;
    uint64_t size; /* bytes of its unpacked layers, those that others share too */
};

/* All images, in the arena. */
int image_list(struct image_store *store, struct arena *arena, struct image_info **ret,
        size_t *ret_count, struct error *err);

/* Finds by name, short name, digest, id or a prefix of an id. -ENOENT, -EEXIST (several fit). */
int image_find(struct image_store *store, const char *image, struct arena *arena,
        struct image_info *ret, struct error *err);

/* All names of a repository that are in the store, whole, those that were added last at the end. A
 * name with a tag is refused; a short one is the first repository that it may mean and that has
 * one. -ENOENT. */
int image_names_of(struct image_store *store, const char *repository, struct arena *arena,
        struct strv *ret, struct error *err);

/* Docker's and Podman's `image inspect` object; belongs to the caller. */
int image_inspect(
        struct image_store *store, const char *image, struct json_object **ret, struct error *err);

struct image_step {
    const char *created_by;
    const char *comment;
    const char *diff_id; /* NULL: the step made no layer */
    int64_t created;
    uint64_t size;
};
/* Newest first. */
int image_history(struct image_store *store, const char *image, struct arena *arena,
        struct image_step **ret, size_t *ret_count, struct error *err);

/* Gives an image one more name. */
int image_tag(struct image_store *store, const char *image, const char *name, struct error *err);

/*
 * Takes a name away, and with the last one the image, or with an id the image and all its names
 * (more than one only with `force`). -EBUSY, with the container's id, while a root uses it. Lists
 * what went, for the user.
 */
int image_remove(struct image_store *store, const char *image, bool force, struct arena *arena,
        struct strv *ret_untagged, struct strv *ret_deleted, struct error *err);

/* --- Archives -------------------------------------------------------------------------------- */

/* `source` as for image_pull, or the name of an archive of any kind, or "-" for standard input. All
 * images inside are loaded; their names (or ids) are listed. */
int image_load(struct image_store *store, const char *source, image_event_fn event, void *data,
        struct arena *arena, struct strv *ret_names, struct error *err);

/* Writes images into one archive. `format`: "docker-archive", "oci-archive", "oci-dir",
 * "docker-dir"; `path` NULL: into descriptor `fd`, which need not be seekable. */
int image_save(struct image_store *store, const struct strv *images, const char *format,
        const char *path, int fd, struct error *err);

/* One layer from a tarball (plain, gzip, zstd); `changes` as Dockerfile lines: "CMD /bin/sh". */
struct image_change {
    const char *name; /* NULL: dangling */
    const char *author;
    const char *message;
    const char *platform;
    struct json_object *config; /* members of its "config" to replace, null: to take away; NULL */
    struct strv changes;        /* on top of that */
    const char *created_by;
};
int image_import(struct image_store *store, int fd, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err);

/* Writes a folder as one tar, for `export`. */
int image_export(int dirfd, int fd, struct error *err);

/*
 * For `cp`: one file, link or folder as a tar, by an O_PATH descriptor (see tarout_add_node), and a
 * tar into a folder that is in use (see layer_copy). Both stand somebody hostile who changes things
 * meanwhile.
 */
struct image_copying {
    bool owners; /* as in the archive, with set-user-id bits and capabilities; else the caller's */
    bool inside; /* links on the way are followed inside the folder; else they are refused */
    bool overwrite; /* a folder may replace something else, and the other way round */
};
struct image_copied {
    uint64_t bytes;
    uint64_t left_out; /* devices */
};
int image_copy_out(int node_fd, const char *as, int fd, struct error *err);
int image_copy_in(int fd, int dir_fd, const struct image_copying *how, struct image_copied *ret,
        struct error *err);

/* --- Roots of containers and machines ----------------------------------------------------------
 */

/*
 * What a container's root is made of: paths for overlayfs. They stay valid until
 * image_root_remove(); the image cannot be removed while there is one.
 */
struct image_root {
    const char *id;    /* the caller's name for it */
    const char *image; /* id of the image */
    struct strv lower; /* unpacked layers, the topmost first */
    const char *upper;
    const char *work;
    const char *merged; /* an empty folder, which stands for the root as a path */
    const char *base;   /* the folder of the store, which all of these are below */
};

/* What a root is laid upon: one of these. */
struct image_base {
    const char *image;
    const char *folder; /* of the host: absolute, and not written to */
};

/*
 * Makes the root `id`; layers that a power cut spoilt are unpacked again. image_root_foresee() only
 * tells what it would be, in a store that for a folder need not be there. -EEXIST; -ENOENT: there
 * is no such image.
 */
int image_root_create(struct image_store *store, const struct image_base *base, const char *id,
        struct arena *arena, struct image_root *ret, struct error *err);
int image_root_foresee(struct image_store *store, const struct image_base *base, const char *id,
        struct arena *arena, struct image_root *ret, struct error *err);
void image_root_foresee_on_folder(const char *store_root, const char *folder, const char *id,
        struct arena *arena, struct image_root *ret);
int image_root_find(struct image_store *store, const char *id, struct arena *arena,
        struct image_root *ret, struct error *err);
int image_root_remove(struct image_store *store, const char *id, struct error *err);

/*
 * The layers of a root over each other as a disk, which is made once and kept for as long as an
 * image or a root has these layers. What kind of disk that is the caller's function decides, and
 * the checksum that it gives is kept too. It runs while others that want the same disk wait.
 */
struct image_disk_maker {
    int (*make)(int fd, uint64_t *ret_checksum, void *data, struct error *err);
    void *data;
};
struct image_disk {
    int fd; /* for reading; the caller's */
    uint64_t checksum;
};
int image_root_disk(struct image_store *store, const char *id, const struct image_disk_maker *maker,
        struct image_disk *ret, struct error *err);

enum image_diff_kind { IMAGE_ADDED, IMAGE_CHANGED, IMAGE_DELETED };
typedef int (*image_diff_fn)(enum image_diff_kind kind, const char *path, void *data);
/* What the root's upper folder changed, for `diff`. */
int image_root_diff(
        struct image_store *store, const char *id, image_diff_fn fn, void *data, struct error *err);

/* The upper folder of the root `id` as one more layer upon its image; -EOPNOTSUPP for one that is
 * laid upon a folder. With `id` NULL all of the folder `dirfd`, as an image of one layer. */
int image_commit(struct image_store *store, const char *id, int dirfd,
        const struct image_change *change, char ret_id[IMAGE_ID_SIZE], struct error *err);

/* --- The store as a whole -----------------------------------------------------------------------
 */

struct image_usage {
    uint64_t images, images_used; /* count; used: a root needs it */
    uint64_t image_bytes;         /* on disk: blobs, unpacked layers and disks, shared ones once */
    uint64_t image_bytes_free;    /* of these, what prune_all would give back */
    uint64_t roots, root_bytes;   /* upper folders */
    uint64_t partial_bytes;       /* interrupted downloads and leftovers */
};
int image_usage(struct image_store *store, struct image_usage *ret, struct error *err);

/* Bytes on disk of a root's folders, as `root_bytes` counts them. */
uint64_t image_root_disk_usage(struct image_store *store, const char *id);

/* Bytes on disk of what a root has changed; 0 when there is none of that id. */
uint64_t image_root_usage(struct image_store *store, const char *id);

/* Removes dangling images, or with `all` every image without a root, then what nobody refers to,
 * interrupted downloads too. `only`, where it is not NULL, has the ids that may go. */
int image_prune(struct image_store *store, bool all, const struct strv *only, struct arena *arena,
        struct strv *ret_deleted, uint64_t *ret_bytes, struct error *err);

/* Removes blobs, layers and leftovers that nobody refers to. Called by the others by itself;
 * returns at once, having done nothing, while another process pulls. */
int image_collect(struct image_store *store, uint64_t *ret_bytes, struct error *err);

/*
 * Reads every blob, every unpacked layer and every disk against its digest, and the list of images
 * against these. With `repair` layers are unpacked again, and what cannot be made good from here is
 * taken out, so that the next pull fetches it. Each finding is one line; returns their number, or
 * negative errno.
 */
int image_check(struct image_store *store, bool repair, struct arena *arena,
        struct strv *ret_findings, struct error *err);
