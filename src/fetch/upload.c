#include "fetch/upload.h"

#include <string.h>

#include "base/str.h"

static int setup_head(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    const struct wire_message *blob = data;
    char *url = session_url(session, endpoint, "v2/%s/blobs/%s", endpoint->at.path, blob->digest);

    return session_start(session, endpoint, http, "HEAD", url, err);
}

/* `reference`: another repository of this registry that may have it. */
static int setup_post(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    const struct wire_message *blob = data;
    char *url = blob->reference
                        ? session_url(session, endpoint, "v2/%s/blobs/uploads/?mount=%s&from=%s",
                                  endpoint->at.path, blob->digest, blob->reference)
                        : session_url(session, endpoint, "v2/%s/blobs/uploads/", endpoint->at.path);

    return session_start(session, endpoint, http, "POST", url, err);
}

/* The Location header may be a whole URL or only a path. */
static char *upload_url(struct session *session, const struct endpoint *endpoint,
        const char *location, const char *digest)
{
    char *url;

    if (*location == '/')
        url = session_url(session, endpoint, "%s", location + 1);
    else
        url = arena_strdup(&session->arena, location);
    return arena_printf(
            &session->arena, "%s%sdigest=%s", url, strchr(url, '?') ? "&" : "?", digest);
}

int upload_prepare(struct session *session, struct endpoint *endpoint,
        const struct wire_message *blob, struct http *http, bool *ret_present, struct error *err)
{
    _cleanup_http_ struct http head = {0};
    _cleanup_http_ struct http post = {0};
    void *data = (void *)(uintptr_t)blob;

    int r = session_exchange(session, endpoint, setup_head, data, &head, err);
    if (r < 0)
        return r;
    *ret_present = head.code == CURLE_OK && head.status == 200;
    if (*ret_present)
        return 0;
    if (head.code != CURLE_OK || head.status != 404)
        return session_explain(endpoint, &head, blob->digest, err);
    r = session_exchange(session, endpoint, setup_post, data, &post, err);
    if (r < 0)
        return r;
    *ret_present = post.code == CURLE_OK && post.status == 201;
    if (*ret_present)
        return 0;
    if (post.code != CURLE_OK || post.status != 202 || !post.location[0])
        return session_explain(endpoint, &post, blob->digest, err);
    r = session_start(session, endpoint, http, "PUT",
            upload_url(session, endpoint, post.location, blob->digest), err);
    if (r == 0)
        http_header(http, "Content-Type", "application/octet-stream");
    return r;
}
