/*
 * Disks that are made of layers for machines, each in disks/HEX: the file itself and what is known
 * of it. A disk is on the disk as a whole before it has that name; one whose file is not the very
 * one that was written is read against its digest before it is used. Used inside this library.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "image/digest.h"
#include "image/store.h"

/* What the disk of these layers (diff ids, lowest first) is kept by: "sha256:HEX" of their list. */
void disk_key(const struct strv *layers, char key[DIGEST_SIZE]);

/* The disk of the layers, which are there; made where it is missing or damaged, by one process
 * while others wait. The caller holds the `use` lock. */
int disk_take(struct image_store *store, const struct strv *layers,
        const struct image_disk_maker *maker, struct image_disk *ret, struct error *err);

/* The keys of all that there are. */
int disk_list(struct image_store *store, struct arena *arena, struct strv *ret, struct error *err);

/* Reads it; -EBADMSG when it is not what was written. */
int disk_check(struct image_store *store, const char *key, struct error *err);

/* Takes it away, or all of them: who has one open keeps it. One that is not there is no error. */
int disk_remove(struct image_store *store, const char *key, struct error *err);
int disk_remove_all(struct image_store *store, struct error *err);
