#include "image/transport.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static const struct {
    const char *prefix;
    enum transport kind;
    bool named; /* a name may follow behind another colon */
} transports[] = {
        {"docker://", TRANSPORT_REGISTRY, false},
        {"oci:", TRANSPORT_OCI, true},
        {"oci-archive:", TRANSPORT_OCI_ARCHIVE, true},
        {"docker-archive:", TRANSPORT_DOCKER_ARCHIVE, true},
        {"dir:", TRANSPORT_DIR, false},
};

/* Transports of others, so that the user learns that it is not a short name which failed. */
static const char *const foreign[] = {"containers-storage:", "docker-daemon:", "ostree:", "sif:",
        "tarball:", "docker-reference:", "atomic:"};

int transport_parse(
        const char *text, struct arena *arena, struct transport_name *ret, struct error *err)
{
    struct transport_name name = {.kind = TRANSPORT_REGISTRY, .text = arena_strdup(arena, text)};
    const char *rest = text;

    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        if (str_starts(text, foreign[i]))
            return error_set(err, EINVAL,
                    "\"%s\": images are read from and written to docker://, oci:, oci-archive:, "
                    "docker-archive: and dir:",
                    text);
    for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
        const char *after = str_after(text, transports[i].prefix);
        if (!after)
            continue;
        rest = after;
        name.kind = transports[i].kind;
        char *path = arena_strdup(arena, rest);
        char *colon = transports[i].named ? strchr(path, ':') : NULL;
        if (colon) {
            *colon = '\0';
            name.name = colon + 1;
        }
        name.path = path;
        break;
    }
    if (name.kind == TRANSPORT_REGISTRY) {
        int r = reference_parse(rest, arena, &name.reference, err);
        if (r < 0)
            return r;
    } else if (str_empty(name.path)) {
        return error_set(err, EINVAL, "\"%s\" names no file", text);
    }
    *ret = name;
    return 0;
}
