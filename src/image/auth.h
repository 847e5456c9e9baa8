/*
 * Passwords for registries, kept as Docker and Podman keep them: config.json with `auths`,
 * `credHelpers` and `credsStore` (containers-auth.json(5)), helpers being the programs
 * docker-credential-NAME.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

struct auth {
    const char *user; /* NULL: none is known */
    const char *password;
    const char *token; /* an identity token (OAuth2 refresh token) instead of a password */
};

/*
 * Looks for "host" or "host/path" or a leading part of the path, the most specific first. `file`
 * NULL: $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, $XDG_RUNTIME_DIR/containers/auth.json,
 * ~/.config/containers/auth.json, ~/.docker/config.json, all that exist, in this order. Finding
 * nothing is no error. Strings live in the arena.
 */
int auth_find(const char *file, const char *host, const char *path, struct arena *arena,
        struct auth *ret, struct error *err);

/* Keeps a password, in the helper that the file names for the host, else in the file (mode 0600).
 */
int auth_store(const char *file, const char *host, const struct auth *auth, struct error *err);

/* -ENOENT if none was kept. */
int auth_erase(const char *file, const char *host, struct error *err);

/* Empties the file of passwords; what its helpers keep stays with them. */
int auth_erase_all(const char *file, struct error *err);

/* Base 64 with padding (RFC 4648). auth_decode returns NULL for what is not; the result's length
 * goes to ret_length, and a NUL follows it. */
char *auth_encode(const char *data, size_t length, struct arena *arena);
char *auth_decode(const char *text, size_t *ret_length, struct arena *arena);
