/*
 * What this library and viv-fetch say to each other: one JSON object in each packet of a
 * SOCK_SEQPACKET pair, with a descriptor where bytes are to be sent. viv-fetch has the pair as its
 * standard input and its folder as descriptor 3. It knows nothing of the store.
 *
 * To viv-fetch: an "endpoint" for each place to ask, the best first; then requests with an `id`.
 * From it: "note"s, and for each request "progress"es and one "done" or "failed".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"

#define WIRE_FOLDER_FD 3
#define WIRE_TAGS_MAX 1000 /* of one answer */
#define WIRE_PACKET_MAX ((size_t)192 << 10)

enum wire_kind {
    WIRE_ENDPOINT,
    WIRE_PING,         /* asks for /v2/, with the password */
    WIRE_GET_MANIFEST, /* `reference`; the text goes to the file `name` */
    WIRE_GET_BLOB,     /* `digest`, `size`; goes to the file `name`, after what is there already */
    WIRE_PUT_BLOB,     /* `digest`, `size`, a descriptor */
    WIRE_PUT_MANIFEST, /* `reference`, `type`, `size`, a descriptor */
    WIRE_SEARCH,       /* `reference`: the term; the answer goes to the file `name` */
    WIRE_GET_TAGS,     /* those behind `reference`, or all; the answer goes to the file `name` */
    WIRE_NOTE,         /* `text` */
    WIRE_PROGRESS,     /* `size`: bytes so far */
    WIRE_DONE,         /* `type`, `digest` of a manifest as the registry told them; `present` */
    WIRE_FAILED,       /* `errnum`, `text` */
};

struct wire_message {
    uint32_t kind;
    uint32_t id;
    const char *name;
    const char *reference;
    const char *digest;
    const char *type;
    const char *text;
    uint64_t size;
    uint32_t errnum;
    bool present;
    /* of an endpoint */
    const char *host;
    const char *path;
    const char *user;
    const char *password;
    const char *token;
    const char *authority;   /* PEM: certificates to trust besides the system's */
    const char *certificate; /* PEM: our own */
    const char *key;
    bool insecure;   /* plain http and any certificate are fine */
    bool unverified; /* any certificate is fine, not plain http */
    bool mirror;
    bool push;
    uint32_t pause_ms; /* first pause before trying again; doubled each time */
};

/* `fd` -1: none goes along. */
int wire_send(int socket, const struct wire_message *message, int fd, struct error *err);

/* 1 and a message, 0 when the other end was closed. Strings live in the arena. `*ret_fd` is -1 or
 * belongs to the caller. */
int wire_receive(
        int socket, struct arena *arena, struct wire_message *ret, int *ret_fd, struct error *err);
