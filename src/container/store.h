/*
 * Where sandboxes are remembered: one folder for each, ROOT/<id>/, on a file system that a reboot
 * empties. A name is taken by making the folder. While a sandbox is being made, a mark in
 * ROOT/.making/ tells which process is at it, so that the next command finds what a killed one has
 * left and takes it away.
 *
 * Several processes may use one store at once; nothing here waits for long.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct store {
    int fd; /* of ROOT */
    char *root;
};

/* Opens the store, and makes the folder (0700 … 0711 for a root store) when it is missing. */
int store_open(struct arena *arena, const char *root, struct store *ret, struct error *err);
void store_close(struct store *store);
#define _cleanup_store_ __attribute__((cleanup(store_close)))

/* Whether an ordinary user calls, also as root of a user namespace (an engine without privileges):
 * sandboxes are kept in the user's runtime directory, and scopes are the user's manager's. */
bool store_for_a_user(void);

/* "/run/<program>" for root, "$XDG_RUNTIME_DIR/<program>" or "/tmp/<program>-<uid>" otherwise. Root
 * of a user namespace that is there for an ordinary user counts as that user. */
const char *store_default_root(struct arena *arena, const char *program);

/* Letters, digits and "_+-.", not starting with a dot; at most 255 bytes. -EINVAL with the error.
 */
int store_check_id(const char *id, struct error *err);

/* Takes the name: makes the folder and the mark. -EEXIST when it is taken. The folder's descriptor
 * belongs to the caller. */
int store_reserve(const struct store *store, const char *id, int *ret_fd, struct error *err);

/* The same, with a text in the mark for who finds it when this process was killed. */
int store_reserve_as(const struct store *store, const char *id, const char *text, int *ret_fd,
        struct error *err);

/* The text of a mark. -ENOENT: nobody is making a sandbox of that name. */
int store_maker_text(const struct store *store, const char *id, char *text, size_t size);

/* Removes the mark: the sandbox is made. */
void store_settle(const struct store *store, const char *id);

/* The folder of a sandbox; -ENOENT: "container does not exist". */
int store_entry(const struct store *store, const char *id, int *ret_fd, struct error *err);

/* Removes the folder and the mark. A folder that is gone already is fine. */
int store_remove(const struct store *store, const char *id, struct error *err);

/* The ids of all sandboxes, sorted. */
int store_list(const struct store *store, struct arena *arena, struct strv *ret, struct error *err);

/* The names in a folder of the store, sorted. -ENOENT when there is none. */
int store_list_folder(
        const struct store *store, const char *path, struct arena *arena, struct strv *ret);

/* Takes a name in a folder of the store (made when missing) by a link that holds this process's pid
 * and start time, and a text: there at once and whole, or not at all. -EEXIST when it is taken. */
int store_mark(const struct store *store, const char *folder, const char *name, const char *text);

/* Reads a mark's text. 1: who made it lives, 0: not any more; -ENOENT: there is none. */
int store_read_mark(
        const struct store *store, const char *folder, const char *name, char *text, size_t size);

/* Whether someone is making this sandbox just now. */
bool store_maker_lives(const struct store *store, const char *id);

/* The ids of sandboxes whose maker has died before it was done. */
int store_list_abandoned(const struct store *store, struct arena *arena, struct strv *ret);
