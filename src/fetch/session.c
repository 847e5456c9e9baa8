#include "fetch/session.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"
#include "image/auth.h"

#define SYSTEM_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"
#define PAUSE_MAX_MS 60000u
#define CHALLENGE_VALUE_MAX 2048

void session_note(struct session *session, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    wire_send(session->socket, &(struct wire_message){.kind = WIRE_NOTE, .text = text}, -1, NULL);
}

static const char *copy(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

/* An authority of one's own is trusted besides the system's: a registry may send to other hosts. */
static const char *with_system_authorities(struct arena *arena, const char *authority)
{
    _cleanup_buf_ struct buf text = {.max = (size_t)4 << 20};

    if (!authority)
        return NULL;
    buf_add_str(&text, authority);
    buf_add_char(&text, '\n');
    io_read_file_at(AT_FDCWD, SYSTEM_AUTHORITIES, &text); /* none: only the own one is trusted */
    return arena_strdup(arena, buf_text(&text));
}

int session_add(struct session *session, const struct wire_message *message, struct error *err)
{
    if (session->count == SESSION_ENDPOINTS_MAX)
        return error_set(err, E2BIG, "more than %d places to ask", SESSION_ENDPOINTS_MAX);
    struct endpoint *endpoint = &session->endpoints[session->count++];
    struct arena *arena = &session->arena;
    *endpoint = (struct endpoint){.at = *message};
    endpoint->at.host = copy(arena, message->host);
    endpoint->at.path = copy(arena, message->path);
    endpoint->at.user = copy(arena, message->user);
    endpoint->at.password = copy(arena, message->password);
    endpoint->at.token = copy(arena, message->token);
    endpoint->way = (struct http_way){
            .unverified = message->insecure || message->unverified,
            .authority = with_system_authorities(arena, message->authority),
            .certificate = copy(arena, message->certificate),
            .key = copy(arena, message->key),
    };
    session->pause_ms = message->pause_ms ? message->pause_ms : 1000;
    return 0;
}

char *session_url(struct session *session, const struct endpoint *endpoint, const char *format, ...)
{
    va_list args;
    const char *host = endpoint->at.host;

    if (str_equal(host, "docker.io"))
        host = "registry-1.docker.io";
    va_start(args, format);
    char *tail = arena_vprintf(&session->arena, format, args);
    va_end(args);
    return arena_printf(
            &session->arena, "%s://%s/%s", endpoint->way.plain ? "http" : "https", host, tail);
}

int session_start(struct session *session, struct endpoint *endpoint, struct http *http,
        const char *method, const char *url, struct error *err)
{
    char own[HTTP_ORIGIN_MAX];

    http_origin(session_url(session, endpoint, "v2/"), own);
    int r = http_start(http, method, url, &endpoint->way, err);
    /* where it wants an upload to go may be another host */
    if (r == 0 && endpoint->authorization && str_equal(http->origin, own))
        http_header(http, "Authorization", endpoint->authorization);
    return r;
}

static bool is_certificate_error(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
           code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR;
}

/* What curl says, in our words. */
static int explain_network(const struct endpoint *endpoint, const struct http *http,
        const char *what, struct error *err)
{
    const char *host = endpoint->at.host;

    if (is_certificate_error(http->code))
        return error_set(err, EKEYREJECTED,
                "%s: the certificate of the registry %s does not fit: %s; put the certificate of "
                "its authority into /etc/containers/certs.d/%s/ca.crt",
                what, host, http->why, host);
    if (http->code == CURLE_SSL_CONNECT_ERROR)
        return error_set(err, EPROTO,
                "%s: the registry %s does not speak TLS: %s; if it is meant to be plain http, say "
                "so in registries.conf: [[registry]] location = \"%s\", insecure = true",
                what, host, http->why, host);
    if (http->code == CURLE_COULDNT_RESOLVE_HOST)
        return error_set(err, EHOSTUNREACH,
                "%s: the registry %s has no address: %s; is the name right, and this host on a "
                "network with name servers (/etc/resolv.conf)?",
                what, host, http->why);
    if (http->code == CURLE_OPERATION_TIMEDOUT)
        return error_set(
                err, ETIMEDOUT, "%s: the registry %s does not answer: %s", what, host, http->why);
    if (http->code == CURLE_COULDNT_CONNECT)
        return error_set(err, ECONNREFUSED, "%s: the registry %s cannot be reached: %s", what, host,
                http->why);
    return error_set(err, EIO, "%s: talking to the registry %s failed: %s", what, host, http->why);
}

int session_explain(const struct endpoint *endpoint, const struct http *http, const char *what,
        struct error *err)
{
    char reason[300];
    const char *host = endpoint->at.host;

    if (http->code != CURLE_OK)
        return explain_network(endpoint, http, what, err);
    http_reason(http, reason, sizeof(reason));
    const char *colon = *reason ? ": " : "";
    if (http->status == 401 || http->status == 403) {
        bool known = endpoint->at.user || endpoint->at.token;
        return error_set(err, EACCES, "%s: the registry %s %s (%ld%s%s); %s", what, host,
                known ? "refuses these credentials" : "wants to know who asks", http->status, colon,
                reason,
                known ? "log in again with the right password (viv login)"
                      : "log in first (viv login)");
    }
    if (http->status == 404)
        return error_set(err, ENOENT, "%s: the registry %s does not have it (404%s%s)", what, host,
                colon, reason);
    if (http->status == 429)
        return error_set(err, EBUSY,
                "%s: the registry %s limits how often it may be asked (429%s%s); try later, or log "
                "in",
                what, host, colon, reason);
    return error_set(err, EREMOTEIO, "%s: the registry %s answered with status %ld%s%s", what, host,
            http->status, colon, reason);
}

uint64_t session_pause(struct session *session, const struct endpoint *endpoint,
        const struct http *http, unsigned tries)
{
    uint64_t pause = (uint64_t)session->pause_ms << (tries < 6 ? tries : 6);

    if (http->retry_after >= 0)
        pause = (uint64_t)http->retry_after * 1000;
    if (pause > PAUSE_MAX_MS)
        pause = PAUSE_MAX_MS;
    if (http->code == CURLE_OK)
        session_note(session, "%s: status %ld, trying again in %llu.%llu s", endpoint->at.host,
                http->status, (unsigned long long)pause / 1000,
                (unsigned long long)pause % 1000 / 100);
    else
        session_note(session, "%s: %s, trying again in %llu.%llu s", endpoint->at.host, http->why,
                (unsigned long long)pause / 1000, (unsigned long long)pause % 1000 / 100);
    return pause;
}

/* One `name="value"` out of a challenge (RFC 9110 §11.6.1). */
static bool challenge_value(const char *challenge, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    const char *at = strchr(challenge, ' ');

    while (at && *at) {
        at += strspn(at, " ,\t");
        bool found = strncasecmp(at, name, length) == 0 && at[length] == '=';
        at += strcspn(at, "=,");
        if (*at != '=')
            continue;
        at++;
        bool quoted = *at == '"';
        at += quoted;
        size_t end = strcspn(at, quoted ? "\"" : ", ");
        if (found && end < size) {
            memcpy(value, at, end);
            value[end] = '\0';
            return true;
        }
        at += end + (quoted && at[end]);
    }
    return false;
}

static char *basic(struct session *session, const struct endpoint *endpoint)
{
    char *pair = arena_printf(&session->arena, "%s:%s", endpoint->at.user,
            endpoint->at.password ? endpoint->at.password : "");

    return arena_printf(
            &session->arena, "Basic %s", auth_encode(pair, strlen(pair), &session->arena));
}

static char *escape(struct session *session, struct http *http, const char *text)
{
    char *escaped = curl_easy_escape(http->easy, text, 0);
    char *kept = arena_strdup(&session->arena, escaped ? escaped : "");

    curl_free(escaped);
    return kept;
}

struct token_request {
    char realm[CHALLENGE_VALUE_MAX];
    char service[CHALLENGE_VALUE_MAX];
    char scope[CHALLENGE_VALUE_MAX];
};

/* OAuth2: the identity token is given for a fresh access token. */
static int start_refresh(struct session *session, struct endpoint *endpoint,
        const struct token_request *request, struct http *http, struct error *err)
{
    int r = http_start(http, "POST", request->realm, &endpoint->way, err);
    if (r < 0)
        return r;
    http_form(http,
            arena_printf(&session->arena,
                    "grant_type=refresh_token&client_id=vivarium&service=%s&scope=%s&refresh_token="
                    "%s",
                    escape(session, http, request->service), escape(session, http, request->scope),
                    escape(session, http, endpoint->at.token)));
    return 0;
}

static int start_get(struct session *session, struct endpoint *endpoint,
        const struct token_request *request, struct http *http, struct error *err)
{
    int r = http_start(http, "GET", request->realm, &endpoint->way, err);
    if (r < 0)
        return r;
    char *url = arena_printf(&session->arena, "%s%sservice=%s%s%s", request->realm,
            strchr(request->realm, '?') ? "&" : "?", escape(session, http, request->service),
            request->scope[0] ? "&scope=" : "", escape(session, http, request->scope));
    curl_easy_setopt(http->easy, CURLOPT_URL, url);
    if (endpoint->at.user)
        http_header(http, "Authorization", basic(session, endpoint));
    return 0;
}

/* A password must not go out in the clear because a server says so. */
static int check_realm(
        struct endpoint *endpoint, const struct token_request *request, struct error *err)
{
    if (strncasecmp(request->realm, "https://", 8) == 0)
        return 0;
    if (strncasecmp(request->realm, "http://", 7) == 0 && endpoint->at.insecure)
        return 0;
    return error_set(err, EPROTO,
            "the registry %s sends to \"%.200s\" for a token, which is not https",
            endpoint->at.host, request->realm);
}

static int read_token(
        struct session *session, struct endpoint *endpoint, struct http *http, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;

    if (http->code != CURLE_OK || http->status != 200)
        return session_explain(endpoint, http, "getting a token", err);
    int r = json_parse(buf_text(&http->body), http->body.length, "token", &json, err);
    if (r < 0)
        return r;
    const char *token = json_get_str(json, "token");
    if (!token)
        token = json_get_str(json, "access_token");
    if (str_empty(token) || strpbrk(token, "\r\n"))
        return error_set(err, EPROTO, "the registry %s gave no token", endpoint->at.host);
    endpoint->authorization = arena_printf(&session->arena, "Bearer %s", token);
    endpoint->token = true;
    return 0;
}

static int login_bearer(struct session *session, struct endpoint *endpoint, const char *challenge,
        struct error *err)
{
    _cleanup_http_ struct http http = {0};
    struct token_request request = {0};
    struct http_way way = endpoint->way;

    if (!challenge_value(challenge, "realm", request.realm, sizeof(request.realm)))
        return error_set(err, EPROTO, "the registry %s wants a token, but does not say from where",
                endpoint->at.host);
    challenge_value(challenge, "service", request.service, sizeof(request.service));
    if (!challenge_value(challenge, "scope", request.scope, sizeof(request.scope)) &&
            endpoint->at.path)
        snprintf(request.scope, sizeof(request.scope), "repository:%s:%s", endpoint->at.path,
                endpoint->at.push ? "pull,push" : "pull");
    int r = check_realm(endpoint, &request, err);
    if (r < 0)
        return r;
    endpoint->way.plain = strncasecmp(request.realm, "http://", 7) == 0;
    r = endpoint->at.token ? start_refresh(session, endpoint, &request, &http, err)
                           : start_get(session, endpoint, &request, &http, err);
    endpoint->way = way;
    if (r < 0)
        return r;
    http_perform(&http);
    return read_token(session, endpoint, &http, err);
}

int session_login(struct session *session, struct endpoint *endpoint, const char *challenge,
        struct error *err)
{
    if (strncasecmp(challenge, "bearer", 6) == 0)
        return login_bearer(session, endpoint, challenge, err);
    if (strncasecmp(challenge, "basic", 5) == 0 && endpoint->at.user && !endpoint->authorization) {
        endpoint->authorization = basic(session, endpoint);
        return 0;
    }
    return -EACCES;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
        ;
}

int session_exchange(struct session *session, struct endpoint *endpoint, session_setup_fn setup,
        void *data, struct http *http, struct error *err)
{
    bool logged_in = false;

    for (unsigned tries = 0;;) {
        int r = setup(session, endpoint, http, data, err);
        if (r < 0)
            return r;
        http_perform(http);
        if (http->code == CURLE_OK && http->status == 401 && !logged_in && http->challenge[0]) {
            logged_in = true;
            r = session_login(session, endpoint, http->challenge, err);
            if (r < 0 && err && err->errnum)
                return r;
            if (r < 0)
                return 0; /* the caller puts the 401 into words */
        } else if (http_may_retry(http) && (endpoint->reached || http->code == CURLE_OK) &&
                   ++tries < SESSION_TRIES) {
            sleep_ms(session_pause(session, endpoint, http, tries - 1));
        } else {
            return 0;
        }
        http_end(http);
    }
}

static int setup_ping(struct session *session, struct endpoint *endpoint, struct http *http,
        void *data, struct error *err)
{
    (void)data;
    return session_start(
            session, endpoint, http, "GET", session_url(session, endpoint, "v2/"), err);
}

/* Plain http is tried where it is allowed and TLS is not spoken or nobody listens. */
int session_reach(struct session *session, struct endpoint *endpoint, struct error *err)
{
    _cleanup_http_ struct http http = {0};

    if (endpoint->reached)
        return 0;
    if (endpoint->at.insecure) {
        _cleanup_http_ struct http probe = {0};
        int r = setup_ping(session, endpoint, &probe, NULL, err);
        if (r < 0)
            return r;
        http_perform(&probe);
        endpoint->way.plain = probe.code == CURLE_SSL_CONNECT_ERROR ||
                              probe.code == CURLE_COULDNT_CONNECT ||
                              probe.code == CURLE_GOT_NOTHING;
    }
    int r = session_exchange(session, endpoint, setup_ping, NULL, &http, err);
    if (r < 0)
        return r;
    if (http.code != CURLE_OK)
        return session_explain(endpoint, &http, "asking for /v2/", err);
    endpoint->reached = true;
    return 0;
}
