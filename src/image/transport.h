/* Where an image comes from or goes to, named as skopeo names it (containers-transports(5)). */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "image/reference.h"

enum transport {
    TRANSPORT_REGISTRY,       /* docker://NAME, or a NAME alone */
    TRANSPORT_OCI,            /* oci:FOLDER[:NAME] */
    TRANSPORT_OCI_ARCHIVE,    /* oci-archive:FILE[:NAME] */
    TRANSPORT_DOCKER_ARCHIVE, /* docker-archive:FILE[:NAME] */
    TRANSPORT_DIR,            /* dir:FOLDER */
};

struct transport_name {
    enum transport kind;
    struct reference reference; /* TRANSPORT_REGISTRY */
    const char *path;           /* the others */
    const char *name;           /* of the image inside; NULL: not given */
    const char *text;           /* as it was given, with its transport */
};

/* -EINVAL; names the transports that there are when it is another. */
int transport_parse(
        const char *text, struct arena *arena, struct transport_name *ret, struct error *err);
