/*
 * viv-fetch from this side: started for one pull or push, asked, listened to, ended. Used inside
 * this library.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "image/registries.h"
#include "image/store.h"
#include "image/wire.h"

struct client {
    struct image_store *store;
    const struct image_access *access; /* never NULL */
    pid_t pid;
    int socket;
    int folder_fd;
    const char *folder; /* "fetch/PID.N", which viv-fetch may write to */
    int taken_fd;
    const char *taken; /* "fetch/PID.N+", for what was taken out of it */
    uint32_t next_id;
    bool disk_full; /* then the rest of a download would only be in the way */
};

/* Starts the program in a folder of its own, which nobody else uses. */
int client_start(struct image_store *store, const struct image_access *access, struct client *ret,
        struct error *err);

/* Ends it; what interrupted downloads left is kept for the next. */
void client_stop(struct client *client);

/* Describes places to ask, with the passwords and certificates that are known for them. */
int client_endpoints(struct client *client, const struct registry_endpoint *endpoints, size_t count,
        bool push, struct arena *arena, struct error *err);

/* Sends a request; its id. */
int client_ask(struct client *client, struct wire_message *message, int fd, struct error *err);

/* The next message that is no note (those go to the access's event function). */
int client_next(
        struct client *client, struct arena *arena, struct wire_message *ret, struct error *err);

/* Asks, and waits for the answer. */
int client_ask_and_wait(struct client *client, struct wire_message *message, int fd,
        struct arena *arena, struct wire_message *ret, struct error *err);

/* Gets a manifest, or another small answer, as text. */
int client_get_text(struct client *client, enum wire_kind kind, const char *reference,
        struct arena *arena, struct buf *text, struct wire_message *ret, struct error *err);

/* What is left of an interrupted download of this blob is put where viv-fetch goes on with it. */
void client_claim_partial(struct client *client, const char *digest);

/*
 * Takes a file out of viv-fetch's folder, and sees to it that nobody can change it any more.
 * Returns a descriptor and its new path in the store. It is not verified yet.
 */
int client_take_file(
        struct client *client, const char *name, const char **ret_path, struct error *err);

/* Moves what dead processes left in their folders to partial/, and empties that of blobs that have
 * come. */
void client_sweep(struct image_store *store);
