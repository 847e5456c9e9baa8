/*
 * The registries that may be asked, and being let in by them: https or plain http, Basic and Bearer
 * (distribution-spec; Docker's token authentication). Exchanges here wait for their end; those of
 * blobs, which run side by side, are in transfer.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "fetch/http.h"
#include "image/wire.h"

#define SESSION_ENDPOINTS_MAX 16
#define SESSION_TRIES 5

struct endpoint {
    struct wire_message at; /* as the other side described it */
    struct http_way way;
    bool reached;        /* `way` is known to work */
    char *authorization; /* value of the header, NULL: none asked for so far; in the arena */
    bool token;          /* it is a token, which may run out */
};

struct session {
    struct arena arena;
    int socket;
    struct endpoint endpoints[SESSION_ENDPOINTS_MAX];
    size_t count;
    size_t current; /* the one that had the manifest */
    uint32_t pause_ms;
};

/* One more place to ask, as the caller described it. -E2BIG beyond SESSION_ENDPOINTS_MAX. */
int session_add(struct session *session, const struct wire_message *message, struct error *err);

/* Finds out whether https or http answers, and logs in if that is asked for. */
int session_reach(struct session *session, struct endpoint *endpoint, struct error *err);

/* "https://host/v2/path/tail" in the arena. */
char *session_url(struct session *session, const struct endpoint *endpoint, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Begins an exchange with what the endpoint wants to see. */
int session_start(struct session *session, struct endpoint *endpoint, struct http *http,
        const char *method, const char *url, struct error *err);

/* After an answer 401: gets what the challenge asks for. 0: try again. */
int session_login(struct session *session, struct endpoint *endpoint, const char *challenge,
        struct error *err);

/* Puts an answer that is not what was wanted into words. `what` is "manifest of x:1". */
int session_explain(const struct endpoint *endpoint, const struct http *http, const char *what,
        struct error *err);

/* How long to wait before the next try, in milliseconds; tells the user about long ones. */
uint64_t session_pause(struct session *session, const struct endpoint *endpoint,
        const struct http *http, unsigned tries);

/* Does an exchange with login and with tries after pauses. The function sets the exchange up. */
typedef int (*session_setup_fn)(struct session *session, struct endpoint *endpoint,
        struct http *http, void *data, struct error *err);
int session_exchange(struct session *session, struct endpoint *endpoint, session_setup_fn setup,
        void *data, struct http *http, struct error *err);

/* Tells the caller something that is not an error. */
void session_note(struct session *session, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
