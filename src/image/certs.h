/*
 * Certificates for a registry, in the folders that Docker and Podman have for them:
 * certs.d/HOST[:PORT]/ with *.crt (authorities), NAME.cert and NAME.key (containers-certs.d(5)).
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

struct certs {
    const char *authority; /* PEM, several behind each other; NULL: none */
    const char *certificate;
    const char *key;
};

/* `folder` NULL: /etc/containers/certs.d, then /etc/docker/certs.d. */
int certs_load(const char *folder, const char *host, struct arena *arena, struct certs *ret,
        struct error *err);
