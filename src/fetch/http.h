/*
 * One HTTP exchange on libcurl: what is sent, what came back, and why it failed, in words.
 * Everything that a server can make long is capped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/error.h"

#define HTTP_HEADER_MAX 8192
#define HTTP_ORIGIN_MAX 512
#define HTTP_BODY_MAX ((size_t)4 << 20)

/* How to reach a host. Strings belong to the caller. */
struct http_way {
    bool plain;                                /* http instead of https */
    bool unverified;                           /* any certificate */
    const char *authority, *certificate, *key; /* PEM or NULL */
};

/* Takes the body as it comes; returns false to break off. */
struct http;
typedef bool (*http_sink_fn)(
        struct http *http, const char *data, size_t length, void *data_of_sink);

struct http {
    CURL *easy;
    char origin[HTTP_ORIGIN_MAX]; /* of the URL that it began with */
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];

    http_sink_fn sink; /* NULL: the body goes to `body` */
    void *sink_data;
    int upload_fd; /* -1: none; read by position */
    uint64_t upload_at, upload_end;

    CURLcode code;
    long status;
    struct buf body;
    char content_type[256];
    char digest[256]; /* Docker-Content-Digest */
    char location[HTTP_HEADER_MAX];
    char challenge[HTTP_HEADER_MAX]; /* WWW-Authenticate, the first that we understand; "" from
                                        where a redirect led to another host: it may not ask */
    long retry_after;                /* seconds, -1: not told */
};

/* Whom a URL asks, as in "https://host:443"; "" if it is none. */
void http_origin(const char *url, char origin[HTTP_ORIGIN_MAX]);

/* Makes ready for a new exchange. -ENOMEM. */
int http_start(struct http *http, const char *method, const char *url, const struct http_way *way,
        struct error *err);
void http_header(struct http *http, const char *name, const char *value);
/* A body from a descriptor, `length` bytes from its start. */
void http_upload(struct http *http, int fd, uint64_t length);
/* A form, application/x-www-form-urlencoded. The text must live until the end. */
void http_form(struct http *http, const char *form);

/* Does it, waiting for its end. The result is in `code` and `status`. */
void http_perform(struct http *http);
/* After an exchange by a multi handle: fills `code` and `status`. */
void http_settle(struct http *http, CURLcode code);
void http_end(struct http *http);
#define _cleanup_http_ __attribute__((cleanup(http_end)))

/* Whether trying again may help: the network, 5xx, 429. */
bool http_may_retry(const struct http *http);

/* A registry's own words out of a body {"errors":[{"message":…}]}, or ""; one line, at most 300
 * bytes. */
void http_reason(const struct http *http, char *text, size_t size);
