#include "fetch/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

#define CONNECT_SECONDS 15L
#define STALL_SECONDS 30L
#define STALL_BYTES 512L /* a second: below that a layer takes days */
#define REDIRECTS_MAX 10L
#define AGENT "viv-fetch"

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct http *http = user;
    size_t length = size * count;
    long status = 0;

    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    if (http->sink && status >= 200 && status < 300)
        return http->sink(http, data, length, http->sink_data) ? length : 0;
    buf_add(&http->body, data, length);
    return http->body.overflow ? 0 : length;
}

static size_t give_body(char *data, size_t size, size_t count, void *user)
{
    struct http *http = user;
    size_t room = size * count;

    if (http->upload_end - http->upload_at < room)
        room = (size_t)(http->upload_end - http->upload_at);
    ssize_t got = pread(http->upload_fd, data, room, (off_t)http->upload_at);
    if (got < 0)
        return CURL_READFUNC_ABORT;
    http->upload_at += (uint64_t)got;
    return (size_t)got;
}

/* curl may have to send the beginning again after a redirect or a refused connection. */
static int seek_body(void *user, curl_off_t offset, int origin)
{
    struct http *http = user;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    http->upload_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static void copy_value(const char *value, char *to, size_t size)
{
    size_t length = strcspn(value, "\r\n");

    if (length >= size)
        return; /* longer than anything honest */
    for (size_t i = 0; i < length; i++)
        if ((value[i] < ' ' && value[i] != '\t') || value[i] > '~')
            return; /* and so is this: it would go on to a terminal, or into a message */
    memcpy(to, value, length);
    to[length] = '\0';
}

/* Seconds, or a date (RFC 9110 §10.2.3). */
static long read_pause(const char *value)
{
    char text[128] = "";
    uint32_t seconds;

    copy_value(value, text, sizeof(text));
    if (str_to_u32(text, &seconds) == 0)
        return seconds < 86400 ? (long)seconds : 86400;
    time_t when = curl_getdate(text, NULL);
    time_t now = time(NULL);
    return when < 0 ? -1 : when > now ? (long)(when - now) : 0;
}

static bool is_challenge(const char *value)
{
    return strncasecmp(value, "bearer", 6) == 0 || strncasecmp(value, "basic", 5) == 0;
}

static void take_named(struct http *http, const char *name, const char *value)
{
    if (strcasecmp(name, "content-type") == 0)
        copy_value(value, http->content_type, sizeof(http->content_type));
    else if (strcasecmp(name, "docker-content-digest") == 0)
        copy_value(value, http->digest, sizeof(http->digest));
    else if (strcasecmp(name, "location") == 0)
        copy_value(value, http->location, sizeof(http->location));
    else if (strcasecmp(name, "retry-after") == 0)
        http->retry_after = read_pause(value);
    else if (strcasecmp(name, "www-authenticate") == 0 && is_challenge(value) &&
             strncasecmp(http->challenge, "bearer", 6) != 0)
        copy_value(value, http->challenge, sizeof(http->challenge));
}

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct http *http = user;
    size_t length = size * count;
    char line[HTTP_HEADER_MAX];

    if (length >= sizeof(line))
        return length;
    memcpy(line, data, length);
    line[length] = '\0';
    if (str_starts(line, "HTTP/")) { /* a new answer: after a redirect, or 100 Continue */
        http->content_type[0] = http->digest[0] = http->challenge[0] = '\0';
        http->retry_after = -1;
    }
    char *colon = strchr(line, ':');
    if (colon) {
        *colon = '\0';
        take_named(http, line, colon + 1 + strspn(colon + 1, " \t"));
    }
    return length;
}

static void set_blob(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = {(void *)(uintptr_t)pem, pem ? strlen(pem) : 0, CURL_BLOB_COPY};

    if (pem)
        curl_easy_setopt(easy, option, &blob);
}

static void set_way(CURL *easy, const struct http_way *way)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, way->plain ? "http" : "https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
            way->plain || way->unverified ? "http,https" : "https");
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, way->unverified ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, way->unverified ? 0L : 2L);
    set_blob(easy, CURLOPT_CAINFO_BLOB, way->authority);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, way->certificate);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, way->key);
}

void http_origin(const char *url, char origin[HTTP_ORIGIN_MAX])
{
    static const CURLUPart wanted[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    char *parts[ARRAY_SIZE(wanted)] = {NULL};
    CURLU *parsed = curl_url();
    bool good = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK;

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        good = good && curl_url_get(parsed, wanted[i], &parts[i], CURLU_DEFAULT_PORT) == CURLUE_OK;
    int length =
            good ? snprintf(origin, HTTP_ORIGIN_MAX, "%s://%s:%s", parts[0], parts[1], parts[2])
                 : 0;
    if (!good || length >= HTTP_ORIGIN_MAX)
        *origin = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        curl_free(parts[i]);
    curl_url_cleanup(parsed);
}

int http_start(struct http *http, const char *method, const char *url, const struct http_way *way,
        struct error *err)
{
    *http = (struct http){.upload_fd = -1, .retry_after = -1, .body = {.max = HTTP_BODY_MAX}};
    http->easy = curl_easy_init();
    if (!http->easy)
        return error_set(err, ENOMEM, "out of memory");
    http_origin(url, http->origin);
    curl_easy_setopt(http->easy, CURLOPT_URL, url);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(http->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(http->easy, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "POST") == 0)
        http_form(http, "");
    curl_easy_setopt(http->easy, CURLOPT_USERAGENT, AGENT);
    curl_easy_setopt(http->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(http->easy, CURLOPT_FOLLOWLOCATION, strcmp(method, "GET") == 0 ? 1L : 0L);
    curl_easy_setopt(http->easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(http->easy, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
    curl_easy_setopt(http->easy, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
    curl_easy_setopt(http->easy, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(http->easy, CURLOPT_ERRORBUFFER, http->why);
    curl_easy_setopt(http->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(http->easy, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(http->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(http->easy, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(http->easy, CURLOPT_PRIVATE, http);
    set_way(http->easy, way);
    return 0;
}

void http_header(struct http *http, const char *name, const char *value)
{
    _cleanup_buf_ struct buf line = {0};

    buf_printf(&line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(http->headers, buf_text(&line));
    if (longer)
        http->headers = longer;
    curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
}

void http_form(struct http *http, const char *form)
{
    curl_easy_setopt(http->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, form);
    curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(form));
}

void http_upload(struct http *http, int fd, uint64_t length)
{
    http->upload_fd = fd;
    http->upload_end = length;
    curl_easy_setopt(http->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(http->easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(http->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(http->easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(http->easy, CURLOPT_READDATA, http);
    curl_easy_setopt(http->easy, CURLOPT_SEEKFUNCTION, seek_body);
    curl_easy_setopt(http->easy, CURLOPT_SEEKDATA, http);
    http_header(http, "Expect", "");
}

static bool is_elsewhere(const struct http *http)
{
    char origin[HTTP_ORIGIN_MAX] = "";
    const char *url = NULL;
    long redirects = 0;

    curl_easy_getinfo(http->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    if (!redirects)
        return false;
    if (curl_easy_getinfo(http->easy, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK && url)
        http_origin(url, origin);
    return !*origin || !str_equal(origin, http->origin);
}

void http_settle(struct http *http, CURLcode code)
{
    http->code = code;
    http->status = 0;
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &http->status);
    if (is_elsewhere(http))
        http->challenge[0] = '\0';
    if (code != CURLE_OK && !http->why[0])
        snprintf(http->why, sizeof(http->why), "%s", curl_easy_strerror(code));
}

void http_perform(struct http *http)
{
    http_settle(http, curl_easy_perform(http->easy));
}

void http_end(struct http *http)
{
    if (http->easy)
        curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    buf_free(&http->body);
    http->easy = NULL;
    http->headers = NULL;
}

bool http_may_retry(const struct http *http)
{
    switch (http->code) {
    case CURLE_OK:
        return http->status == 429 || http->status >= 500;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

void http_reason(const struct http *http, char *text, size_t size)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct json_object *first = NULL;

    *text = '\0';
    if (http->body.length &&
            json_parse(buf_text(&http->body), http->body.length, "answer", &json, NULL) == 0)
        first = json_get(json, "errors");
    if (json_object_is_type(first, json_type_array))
        first = json_object_array_get_idx(first, 0);
    const char *message = json_get_str(first, "message");
    if (!message)
        message = json_get_str(json, "details");
    if (!message)
        return;
    snprintf(text, size < 300 ? size : 300, "%s", message);
    size_t length = strlen(text);
    if (message[length]) { /* no part of a character */
        while (length && (text[length - 1] & 0xc0) == 0x80)
            length--;
        if (length && (text[length - 1] & 0xc0) == 0xc0)
            length--;
        text[length] = '\0';
    }
    str_tame(text, ""); /* a server must not write to the terminal */
}
