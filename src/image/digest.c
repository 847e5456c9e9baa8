/* The plain SHA-2 functions, not OpenSSL's EVP layer: they need no provider to be loaded, which
 * costs a static program megabytes and a millisecond. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "image/digest.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define CHUNK ((size_t)256 << 10)

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct digest_state *)0)->state), "room for sha256");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((struct digest_state *)0)->state), "room for sha512");

static const struct {
    const char *prefix;
    size_t digits;
} algorithms[] = {{"sha256:", 64}, {"sha512:", 128}};

bool digest_valid(const char *text)
{
    for (size_t i = 0; text && i < ARRAY_SIZE(algorithms); i++) {
        const char *hex = str_after(text, algorithms[i].prefix);
        if (hex)
            return strlen(hex) == algorithms[i].digits &&
                   strspn(hex, "0123456789abcdef") == algorithms[i].digits;
    }
    return false;
}

void digest_to_path(const char *digest, char *path)
{
    snprintf(path, DIGEST_SIZE, "%s", digest);
    char *colon = strchr(path, ':');
    if (colon)
        *colon = '/';
}

void digest_short(const char *digest, char *text)
{
    const char *colon = strchr(digest, ':');

    snprintf(text, 13, "%s", colon ? colon + 1 : digest);
}

void digest_start(struct digest_state *state, const char *like)
{
    state->wide = like && str_starts(like, "sha512:");
    if (state->wide)
        SHA512_Init((SHA512_CTX *)(void *)state->state.bytes);
    else
        SHA256_Init((SHA256_CTX *)(void *)state->state.bytes);
}

void digest_add(struct digest_state *state, const void *data, size_t length)
{
    if (state->wide)
        SHA512_Update((SHA512_CTX *)(void *)state->state.bytes, data, length);
    else
        SHA256_Update((SHA256_CTX *)(void *)state->state.bytes, data, length);
}

void digest_end(struct digest_state *state, char text[DIGEST_SIZE])
{
    unsigned char sum[SHA512_DIGEST_LENGTH];
    size_t length = state->wide ? SHA512_DIGEST_LENGTH : SHA256_DIGEST_LENGTH;
    static const char digits[] = "0123456789abcdef";

    if (state->wide)
        SHA512_Final(sum, (SHA512_CTX *)(void *)state->state.bytes);
    else
        SHA256_Final(sum, (SHA256_CTX *)(void *)state->state.bytes);
    char *at = stpcpy(text, state->wide ? "sha512:" : "sha256:");
    for (size_t i = 0; i < length; i++) {
        *at++ = digits[sum[i] >> 4];
        *at++ = digits[sum[i] & 15];
    }
    *at = '\0';
}

void digest_of(const void *data, size_t length, char text[DIGEST_SIZE])
{
    struct digest_state state;

    digest_start(&state, NULL);
    digest_add(&state, data, length);
    digest_end(&state, text);
}

int digest_check_fd(int fd, const char *digest, struct error *err)
{
    struct digest_state state;
    char found[DIGEST_SIZE];
    _cleanup_free_ char *chunk = malloc(CHUNK);
    off_t at = 0;

    if (!chunk)
        return error_set(err, ENOMEM, "out of memory");
    digest_start(&state, digest);
    for (;;) {
        ssize_t got = pread(fd, chunk, CHUNK, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read %s to verify it", digest);
        if (got == 0)
            break;
        digest_add(&state, chunk, (size_t)got);
        at += got;
    }
    digest_end(&state, found);
    if (strcmp(found, digest) == 0)
        return 0;
    return error_set(err, EBADMSG, "wrong digest: expected %s, the %lld bytes received have %s",
            digest, (long long)at, found);
}
