/*
 * A host folder that is shared with a guest: a FUSE server (libfuse's low-level interface, whose
 * channel is a virtio ring) that passes everything through to the folder. Used by virtio/fs.c.
 *
 * What keeps the guest inside: it names files by numbers that stand for descriptors
 * (inodes.h) and by single names, never by paths; a name is opened below its folder alone, no
 * symbolic link is followed on the host, and nothing but regular files and folders is ever opened.
 * Every request passes share_serve(), which copies it and checks what libfuse takes on trust.
 *
 * Owners: files are made as the user and group that the guest says, if the calling thread has
 * CAP_SETUID and CAP_SETGID in its user namespace, which is what maps the guest's ids to the
 * host's; else they belong to viv-vmm's own user.
 *
 * All of it runs on one thread, the share's worker. share_reset() may be called from another one
 * while that does nothing.
 */
#pragma once

#include "base/buf.h"
#include "vm/virtio/virtq.h"

struct share;

enum share_cache {
    SHARE_CACHE_AUTO,   /* both sides change files: names and attributes are trusted for a second,
                           content is read anew when a file is opened, writes go through */
    SHARE_CACHE_FRESH,  /* as AUTO, but names and attributes are asked for each time, so that what
                           the  other side has written shows at once */
    SHARE_CACHE_ALWAYS, /* the guest alone changes files: it keeps what it has read, and gathers its
                           writes until it is asked to write them back */
    SHARE_CACHE_NEVER,  /* nothing is kept, every access comes here */
};

struct share_config {
    int folder; /* descriptor, may be O_PATH; taken over */
    bool read_only;
    bool fixed; /* names in the folder itself can be neither made, moved nor taken away */
    enum share_cache cache;
};

/* "auto", "fresh", "always", "never"; NULL: auto. -EINVAL. */
int share_parse_cache(const char *name, enum share_cache *ret, struct error *err);

/* A share of this folder; nothing is open in it. -ENOTDIR, -ENOMEM. */
int share_new(const struct share_config *config, struct share **ret, struct error *err);
void share_free(struct share *share);

/* To be called once on the thread that serves: its umask and its rights become the share's. */
void share_begin(struct share *share);

/* The guest starts anew: everything it knew or had open is forgotten before the next request. */
void share_reset(struct share *share);

/*
 * For snapshots, while its thread does nothing. What the guest knows by numbers is kept as names
 * below the folder, and what it has open is opened anew by them: a file that is gone, or is another
 * one now, becomes ESTALE for the guest; but what a fixed folder has by the name is taken as it is.
 * What has no name any more cannot be kept: -EBUSY. A share that the guest has not mounted keeps
 * nothing.
 */
int share_check_keepable(const struct share *share, struct error *err);
void share_save(const struct share *share, struct buf *out);

/* Into a new share, before its thread begins. -EBADMSG for what no share_save() has written. */
int share_load(struct share *share, const void *data, size_t length, struct error *err);

/* Serves one request; the bytes of the answer that were written to the chain, 0 for those that want
 * none. */
uint64_t share_serve(struct share *share, const struct virtq_chain *chain);
