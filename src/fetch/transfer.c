#include "fetch/transfer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "fetch/upload.h"
#include "image/digest.h"

#define PROGRESS_MS 100
#define WAIT_MS 1000
#define CHUNK ((size_t)256 << 10)

struct transfer {
    struct transfer *next;
    struct pool *pool;
    struct wire_message want; /* strings in the session's arena */
    int fd;                   /* the file that is written, or the blob that is read */
    struct digest_state hash;
    uint64_t got;
    bool ranged;  /* the request in flight asks for the rest only */
    bool resumed; /* some of it is from before: a wrong digest is worth a second try */
    bool running;
    size_t endpoint;
    size_t endpoints_tried;
    unsigned tries;
    bool logged_in;
    uint64_t not_before; /* milliseconds */
    uint64_t told;
    struct error error; /* why the sink broke off */
    struct http http;
};

struct pool {
    struct session *session;
    int folder_fd;
    CURLM *multi;
    struct transfer *first;
    unsigned running;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int pool_new(struct session *session, int folder_fd, struct pool **ret, struct error *err)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return error_set(err, ENOMEM, "out of memory");
    *pool = (struct pool){session, folder_fd, curl_multi_init(), NULL, 0};
    if (!pool->multi) {
        free(pool);
        return error_set(err, ENOMEM, "out of memory");
    }
    *ret = pool;
    return 0;
}

static void transfer_free(struct transfer *transfer)
{
    if (transfer->running)
        curl_multi_remove_handle(transfer->pool->multi, transfer->http.easy);
    http_end(&transfer->http);
    if (transfer->fd >= 0)
        close(transfer->fd);
    free(transfer);
}

void pool_free(struct pool *pool)
{
    while (pool->first) {
        struct transfer *transfer = pool->first;
        pool->first = transfer->next;
        transfer_free(transfer);
    }
    curl_multi_cleanup(pool->multi);
    free(pool);
}

static void drop(struct transfer *transfer)
{
    struct transfer **at = &transfer->pool->first;

    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
    transfer_free(transfer);
}

static void tell(const struct transfer *transfer, const struct wire_message *message)
{
    struct wire_message copy = *message;

    copy.id = transfer->want.id;
    wire_send(transfer->pool->session->socket, &copy, -1, NULL);
}

static void fail(struct transfer *transfer, const struct error *error)
{
    tell(transfer,
            &(struct wire_message){
                    .kind = WIRE_FAILED, .errnum = (uint32_t)error->errnum, .text = error->text});
    drop(transfer);
}

static void succeed(struct transfer *transfer, bool present)
{
    if (transfer->fd >=
            0) /* before the news: the other side insists that nobody can write any more */
        close(transfer->fd);
    transfer->fd = -1;
    tell(transfer, &(struct wire_message){.kind = WIRE_DONE, .present = present});
    drop(transfer);
}

/* At most ten times a second for each blob. */
static void tell_progress(struct transfer *transfer, uint64_t bytes)
{
    uint64_t now = now_ms();

    if (now - transfer->told < PROGRESS_MS)
        return;
    transfer->told = now;
    tell(transfer, &(struct wire_message){.kind = WIRE_PROGRESS, .size = bytes});
}

static int restart_file(struct transfer *transfer, struct error *err)
{
    transfer->got = 0;
    transfer->resumed = false;
    digest_start(&transfer->hash, transfer->want.digest);
    if (ftruncate(transfer->fd, 0) < 0 || lseek(transfer->fd, 0, SEEK_SET) < 0)
        return error_sys(err, errno, "empty the file");
    return 0;
}

/* Opens the file and takes what an interrupted download left in it. */
static int open_file(struct transfer *transfer, struct error *err)
{
    _cleanup_free_ char *chunk = malloc(CHUNK);
    ssize_t got;

    if (!chunk || strchr(transfer->want.name, '/'))
        return error_set(err, EINVAL, "no name for the file");
    transfer->fd = openat(transfer->pool->folder_fd, transfer->want.name,
            O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (transfer->fd < 0)
        return error_sys(err, errno, "make the file for %s", transfer->want.digest);
    digest_start(&transfer->hash, transfer->want.digest);
    while ((got = read(transfer->fd, chunk, CHUNK)) > 0) {
        digest_add(&transfer->hash, chunk, (size_t)got);
        transfer->got += (uint64_t)got;
    }
    transfer->resumed = transfer->got > 0;
    return transfer->got > transfer->want.size ? restart_file(transfer, err) : 0;
}

static bool take_piece(struct http *http, const char *data, size_t length, void *user)
{
    struct transfer *transfer = user;
    long status = 0;

    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    bool all_again = status == 200 && transfer->ranged; /* the range was not honoured */
    transfer->ranged = false;
    if (all_again && restart_file(transfer, &transfer->error) < 0)
        return false;
    if (transfer->got + length > transfer->want.size) {
        error_set(&transfer->error, EBADMSG, "%s: longer than the manifest says (%llu bytes)",
                transfer->want.digest, (unsigned long long)transfer->want.size);
        return false;
    }
    int r = io_write_all(transfer->fd, data, length);
    if (r < 0) {
        error_sys(&transfer->error, -r, "write %s", transfer->want.digest);
        return false;
    }
    digest_add(&transfer->hash, data, length);
    transfer->got += length;
    tell_progress(transfer, transfer->got);
    return true;
}

static int setup_download(struct transfer *transfer, struct endpoint *endpoint, struct error *err)
{
    struct session *session = transfer->pool->session;
    char range[64];

    char *url = session_url(
            session, endpoint, "v2/%s/blobs/%s", endpoint->at.path, transfer->want.digest);
    int r = session_start(session, endpoint, &transfer->http, "GET", url, err);
    if (r < 0)
        return r;
    transfer->http.sink = take_piece;
    transfer->http.sink_data = transfer;
    transfer->ranged = transfer->got > 0;
    if (transfer->ranged) {
        snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)transfer->got);
        http_header(&transfer->http, "Range", range);
    }
    return 0;
}

static int setup(struct transfer *transfer, struct error *err)
{
    struct session *session = transfer->pool->session;
    struct endpoint *endpoint = &session->endpoints[transfer->endpoint];
    bool present = false;

    int r = session_reach(session, endpoint, err);
    if (r < 0)
        return r;
    if (transfer->want.kind == WIRE_GET_BLOB)
        return setup_download(transfer, endpoint, err);
    r = upload_prepare(session, endpoint, &transfer->want, &transfer->http, &present, err);
    if (r == 0 && !present)
        http_upload(&transfer->http, transfer->fd, transfer->want.size);
    return r < 0 ? r : present;
}

static void evaluate(struct transfer *transfer);

/* Another place, where there is one. */
static bool try_next_endpoint(struct transfer *transfer)
{
    struct session *session = transfer->pool->session;

    if (transfer->want.kind == WIRE_PUT_BLOB || ++transfer->endpoints_tried >= session->count)
        return false;
    transfer->endpoint = (transfer->endpoint + 1) % session->count;
    transfer->tries = 0;
    transfer->logged_in = false;
    return true;
}

static void start(struct transfer *transfer)
{
    struct error err = ERROR_NONE;

    if (transfer->want.kind == WIRE_GET_BLOB && transfer->got == transfer->want.size) {
        evaluate(transfer);
        return;
    }
    int r = setup(transfer, &err);
    if (r < 0 && !try_next_endpoint(transfer))
        fail(transfer, &err);
    if (r < 0)
        return;
    if (r > 0) {
        succeed(transfer, true);
        return;
    }
    transfer->error = (struct error)ERROR_NONE;
    transfer->running = true;
    transfer->pool->running++;
    curl_easy_setopt(transfer->http.easy, CURLOPT_PRIVATE, transfer);
    curl_multi_add_handle(transfer->pool->multi, transfer->http.easy);
}

/* All bytes are there: are they the right ones? */
static void evaluate(struct transfer *transfer)
{
    struct error err = ERROR_NONE;
    char found[DIGEST_SIZE];
    bool again = transfer->resumed;

    digest_end(&transfer->hash, found);
    if (str_equal(found, transfer->want.digest)) {
        succeed(transfer, false);
        return;
    }
    error_set(&err, EBADMSG, "wrong digest: expected %s, the %llu bytes from %s have %s",
            transfer->want.digest, (unsigned long long)transfer->got,
            transfer->pool->session->endpoints[transfer->endpoint].at.host, found);
    int r = restart_file(transfer, &err);
    if (r < 0 || (!again && !try_next_endpoint(transfer)))
        fail(transfer, &err);
}

static bool finished_well(const struct transfer *transfer)
{
    long status = transfer->http.status;

    if (transfer->http.code != CURLE_OK)
        return false;
    return transfer->want.kind == WIRE_PUT_BLOB ? status == 201 || status == 202
                                                : status == 200 || status == 206;
}

/* True if the login was renewed, so that the same request is worth repeating. */
static bool renew_login(struct transfer *transfer, struct endpoint *endpoint, struct error *err)
{
    struct http *http = &transfer->http;

    if (http->code != CURLE_OK || http->status != 401 || transfer->logged_in)
        return false;
    transfer->logged_in = true;
    return http->challenge[0] &&
           session_login(transfer->pool->session, endpoint, http->challenge, err) == 0;
}

static void explain_transfer(
        const struct transfer *transfer, const struct endpoint *endpoint, struct error *err)
{
    if (transfer->error.errnum)
        *err = transfer->error;
    else if (finished_well(transfer))
        error_set(err, EBADMSG, "%s: %s sent %llu of %llu bytes", transfer->want.digest,
                endpoint->at.host, (unsigned long long)transfer->got,
                (unsigned long long)transfer->want.size);
    else if (err->errnum == 0)
        session_explain(endpoint, &transfer->http, transfer->want.digest, err);
}

static void finished(struct transfer *transfer)
{
    struct session *session = transfer->pool->session;
    struct endpoint *endpoint = &session->endpoints[transfer->endpoint];
    struct http *http = &transfer->http;
    struct error err = ERROR_NONE;
    bool well = finished_well(transfer);

    if (well && transfer->want.kind == WIRE_PUT_BLOB) {
        succeed(transfer, false);
        return;
    }
    if (well && transfer->got == transfer->want.size) {
        http_end(http);
        evaluate(transfer);
        return;
    }
    bool range_refused = http->code == CURLE_OK && http->status == 416 && transfer->got > 0;
    bool retry = well || http_may_retry(http);
    if (range_refused && restart_file(transfer, &transfer->error) == 0) {
        transfer->not_before = 0;
    } else if (renew_login(transfer, endpoint, &err)) {
        transfer->not_before = 0;
    } else if (!transfer->error.errnum && retry && ++transfer->tries < SESSION_TRIES) {
        transfer->not_before =
                now_ms() + session_pause(session, endpoint, http, transfer->tries - 1);
    } else {
        explain_transfer(transfer, endpoint, &err);
        bool full = err.errnum == ENOSPC || err.errnum == EDQUOT;
        if (full || !try_next_endpoint(transfer)) {
            fail(transfer, &err);
            return;
        }
    }
    http_end(http);
}

void pool_add(struct pool *pool, const struct wire_message *message, int fd)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    struct error err = ERROR_NONE;

    if (!transfer) {
        if (fd >= 0)
            close(fd);
        return;
    }
    *transfer = (struct transfer){.next = pool->first,
            .pool = pool,
            .want = *message,
            .fd = fd,
            .endpoint = pool->session->current};
    pool->first = transfer;
    bool complete = digest_valid(message->digest) &&
                    (message->kind == WIRE_PUT_BLOB) == (fd >= 0) && (fd >= 0 || message->name);
    int r = complete ? 0 : error_set(&err, EINVAL, "a request without its parts");
    if (r == 0 && message->kind == WIRE_GET_BLOB)
        r = open_file(transfer, &err);
    if (r < 0)
        fail(transfer, &err);
}

/* Starts waiting transfers; returns how long until the next one may start, in milliseconds. */
static int start_waiting(struct pool *pool)
{
    uint64_t now = now_ms();
    uint64_t wait = WAIT_MS;
    struct transfer *next;

    for (struct transfer *transfer = pool->first; transfer; transfer = next) {
        next = transfer->next;
        if (transfer->running)
            continue;
        if (transfer->not_before > now)
            wait = transfer->not_before - now < wait ? transfer->not_before - now : wait;
        else if (pool->running < TRANSFER_PARALLEL)
            start(transfer);
    }
    return (int)wait;
}

static void collect_finished(struct pool *pool)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(pool->multi, &left))) {
        struct transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        curl_multi_remove_handle(pool->multi, transfer->http.easy);
        transfer->running = false;
        pool->running--;
        http_settle(&transfer->http, code);
        finished(transfer);
    }
}

static void tell_uploads(struct pool *pool)
{
    for (struct transfer *transfer = pool->first; transfer; transfer = transfer->next)
        if (transfer->running && transfer->want.kind == WIRE_PUT_BLOB)
            tell_progress(transfer, transfer->http.upload_at);
}

static bool may_start(const struct pool *pool)
{
    uint64_t now = now_ms();

    for (struct transfer *transfer = pool->first; transfer; transfer = transfer->next)
        if (!transfer->running && transfer->not_before <= now)
            return pool->running < TRANSFER_PARALLEL;
    return false;
}

int pool_turn(struct pool *pool, int other_fd, struct error *err)
{
    struct curl_waitfd other = {.fd = other_fd, .events = CURL_WAIT_POLLIN};
    int running;

    int wait = start_waiting(pool);
    CURLMcode code = curl_multi_perform(pool->multi, &running);
    if (code == CURLM_OK) {
        collect_finished(pool);
        tell_uploads(pool);
        code = curl_multi_poll(pool->multi, &other, 1, may_start(pool) ? 0 : wait, NULL);
    }
    if (code != CURLM_OK)
        return error_set(err, EIO, "libcurl: %s", curl_multi_strerror(code));
    return (other.revents & CURL_WAIT_POLLIN) != 0;
}
