/*
 * Where an entry of an archive belongs: its parent folder, resolved inside the root only, and its
 * last name. The parent of the entry before is remembered, because archives are in order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define PLACE_MAX 4096

struct place {
    int root_fd;      /* the caller's */
    bool make;        /* make parents that are missing */
    uint64_t resolve; /* how openat2(2) finds parents: see layer_options */
    char parent[PLACE_MAX];
    int parent_fd; /* -1: none is remembered */
    char clean[PLACE_MAX];
    const char *name; /* in `clean`; "" for the root itself */
    unsigned made;    /* parents made */
};

/* A search below root_fd, which stays the caller's; `make`: missing folders on the way are made. */
void place_start(struct place *place, int root_fd, bool make);
void place_end(struct place *place);

/*
 * Finds the place of a path: place->parent_fd and place->name. Leading slashes and "." parts mean
 * nothing; ".." is refused with -EINVAL. Links on the way lead inside the root, wherever they
 * point.
 */
int place_find(struct place *place, const char *path, struct error *err);

/* To be called after something was removed or replaced that may have been a parent. */
void place_forget(struct place *place);
