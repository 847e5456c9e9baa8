#include "fetch/request.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "image/manifest.h"

struct request {
    const struct wire_message *want;
    int fd;
};

static int setup_get(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    static const char accepted[] =
            MANIFEST_OCI ", " MANIFEST_OCI_INDEX ", " MANIFEST_DOCKER ", " MANIFEST_DOCKER_LIST;
    const struct request *request = data;
    char *url = session_url(
            session, endpoint, "v2/%s/manifests/%s", endpoint->at.path, request->want->reference);

    int r = session_start(session, endpoint, http, "GET", url, err);
    if (r == 0)
        http_header(http, "Accept", accepted);
    return r;
}

static int setup_put(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    const struct request *request = data;
    char *url = session_url(
            session, endpoint, "v2/%s/manifests/%s", endpoint->at.path, request->want->reference);

    int r = session_start(session, endpoint, http, "PUT", url, err);
    if (r < 0)
        return r;
    http_header(http, "Content-Type", request->want->type);
    http_upload(http, request->fd, request->want->size);
    return 0;
}

static int setup_ping(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    (void)data;
    return session_start(
            session, endpoint, http, "GET", session_url(session, endpoint, "v2/"), err);
}

static int setup_search(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    const struct request *request = data;

    int r = http_start(http, "GET", "", &endpoint->way, err);
    if (r < 0)
        return r;
    char *term = curl_easy_escape(http->easy, request->want->reference, 0);
    char *url = session_url(session, endpoint, "v1/search?n=100&q=%s", term ? term : "");
    curl_free(term);
    http_end(http);
    return session_start(session, endpoint, http, "GET", url, err);
}

/* Which tags there are behind one, in the order that registries keep them in. */
static int setup_tags(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    const struct request *request = data;
    const char *last = request->want->reference;
    char *url = session_url(session, endpoint, "v2/%s/tags/list?n=%d%s%s", endpoint->at.path,
            WIRE_TAGS_MAX, str_empty(last) ? "" : "&last=", str_empty(last) ? "" : last);

    return session_start(session, endpoint, http, "GET", url, err);
}

static int setup_catalog(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    (void)data;
    return session_start(session, endpoint, http, "GET",
            session_url(session, endpoint, "v2/_catalog?n=1000"), err);
}

static int keep_body(
        const struct request *request, const struct http *http, int folder_fd, struct error *err)
{
    if (!request->want->name || strchr(request->want->name, '/'))
        return error_set(err, EINVAL, "no name for the file");
    int r = io_replace_file_at(
            folder_fd, request->want->name, buf_text(&http->body), http->body.length, 0600, false);
    return r < 0 ? error_sys(err, -r, "keep the answer") : 0;
}

static int succeed(struct session *session, const struct request *request, const struct http *http)
{
    struct wire_message done = {.kind = WIRE_DONE,
            .id = request->want->id,
            .type = http->content_type,
            .digest = http->digest};

    return wire_send(session->socket, &done, -1, NULL);
}

/* One place after the other; the first that has it is asked for the blobs as well. */
static int get_manifest(
        struct session *session, struct request *request, int folder_fd, struct error *err)
{
    int r = -ENOENT;

    for (size_t i = 0; i < session->count; i++) {
        _cleanup_http_ struct http http = {0};
        struct endpoint *endpoint = &session->endpoints[i];
        if (i > 0 && err->errnum)
            session_note(session, "%s", err->text);
        *err = (struct error)ERROR_NONE;
        r = session_reach(session, endpoint, err);
        if (r == 0)
            r = session_exchange(session, endpoint, setup_get, request, &http, err);
        if (r < 0)
            continue;
        if (http.body.overflow)
            return error_set(err, EFBIG, "the manifest has more than %zu bytes", HTTP_BODY_MAX);
        if (http.code == CURLE_OK && http.status == 200) {
            session->current = i;
            r = keep_body(request, &http, folder_fd, err);
            return r < 0 ? r : succeed(session, request, &http);
        }
        r = session_explain(endpoint, &http,
                arena_printf(&session->arena, "%s%s%s", endpoint->at.path,
                        strchr(request->want->reference, ':') ? "@" : ":",
                        request->want->reference),
                err);
    }
    return r;
}

static int put_manifest(struct session *session, struct request *request, struct error *err)
{
    _cleanup_http_ struct http http = {0};
    struct endpoint *endpoint = &session->endpoints[0];

    int r = session_reach(session, endpoint, err);
    if (r == 0)
        r = session_exchange(session, endpoint, setup_put, request, &http, err);
    if (r < 0)
        return r;
    if (http.code != CURLE_OK || (http.status != 201 && http.status != 200))
        return session_explain(endpoint, &http, request->want->reference, err);
    return succeed(session, request, &http);
}

static int ping(struct session *session, struct request *request, struct error *err)
{
    _cleanup_http_ struct http http = {0};
    struct endpoint *endpoint = &session->endpoints[0];

    int r = session_reach(session, endpoint, err);
    if (r == 0)
        r = session_exchange(session, endpoint, setup_ping, NULL, &http, err);
    if (r < 0)
        return r;
    if (http.code != CURLE_OK || http.status != 200)
        return session_explain(endpoint, &http, "logging in", err);
    return succeed(session, request, &http);
}

static int get_tags(
        struct session *session, struct request *request, int folder_fd, struct error *err)
{
    _cleanup_http_ struct http http = {0};
    struct endpoint *endpoint = &session->endpoints[0];

    int r = session_reach(session, endpoint, err);
    if (r == 0)
        r = session_exchange(session, endpoint, setup_tags, request, &http, err);
    if (r < 0)
        return r;
    if (http.code != CURLE_OK || http.status != 200)
        return session_explain(endpoint, &http, endpoint->at.path, err);
    r = keep_body(request, &http, folder_fd, err);
    return r < 0 ? r : succeed(session, request, &http);
}

/* Docker's search, or else the list of all repositories. */
static int search(
        struct session *session, struct request *request, int folder_fd, struct error *err)
{
    static const session_setup_fn ways[] = {setup_search, setup_catalog};
    struct endpoint *endpoint = &session->endpoints[0];

    int r = session_reach(session, endpoint, err);
    for (size_t i = 0; r == 0 && i < sizeof(ways) / sizeof(ways[0]); i++) {
        _cleanup_http_ struct http http = {0};
        r = session_exchange(session, endpoint, ways[i], request, &http, err);
        if (r == 0 && http.code == CURLE_OK && http.status == 200) {
            r = keep_body(request, &http, folder_fd, err);
            return r < 0 ? r : succeed(session, request, &http);
        }
        if (r == 0 && (http.code != CURLE_OK || http.status == 401 || http.status == 403))
            return session_explain(endpoint, &http, "searching", err);
    }
    return r < 0 ? r
                 : error_set(
                           err, EOPNOTSUPP, "the registry %s offers no search", endpoint->at.host);
}

static int answer(
        struct session *session, struct request *request, int folder_fd, struct error *err)
{
    const struct wire_message *want = request->want;
    bool needs_reference = want->kind != WIRE_PING && want->kind != WIRE_GET_TAGS;

    if (session->count == 0)
        return error_set(err, EINVAL, "no registry to ask");
    if (needs_reference && str_empty(want->reference))
        return error_set(err, EINVAL, "a request without its parts");
    switch (want->kind) {
    case WIRE_PING:
        return ping(session, request, err);
    case WIRE_GET_MANIFEST:
        return get_manifest(session, request, folder_fd, err);
    case WIRE_PUT_MANIFEST:
        return request->fd < 0 || !want->type
                       ? error_set(err, EINVAL, "a request without its parts")
                       : put_manifest(session, request, err);
    case WIRE_SEARCH:
        return search(session, request, folder_fd, err);
    case WIRE_GET_TAGS:
        return get_tags(session, request, folder_fd, err);
    default:
        return error_set(err, EINVAL, "an unknown request, %u", want->kind);
    }
}

void request_answer(
        struct session *session, int folder_fd, const struct wire_message *message, int fd)
{
    struct request request = {message, fd};
    struct error err = ERROR_NONE;

    if (answer(session, &request, folder_fd, &err) < 0)
        wire_send(session->socket,
                &(struct wire_message){.kind = WIRE_FAILED,
                        .id = message->id,
                        .errnum = (uint32_t)err.errnum,
                        .text = err.text},
                -1, NULL);
}
