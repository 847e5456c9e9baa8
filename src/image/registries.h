/*
 * registries.conf (containers-registries.conf(5), version 2): which host a short name means, where
 * a registry really is, its mirrors, and where plain http or an unknown certificate may be used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "image/reference.h"

enum registry_when { REGISTRY_ALWAYS, REGISTRY_DIGEST_ONLY, REGISTRY_TAG_ONLY };

struct registry_mirror {
    const char *location;
    bool insecure;
    enum registry_when when;
};

struct registry_rule {
    const char *prefix;   /* "example.com/team", "*.example.com" */
    const char *location; /* replaces the prefix; NULL: nothing is replaced */
    bool insecure;
    bool blocked;
    struct registry_mirror *mirrors;
    size_t mirror_count;
};

struct registry_alias {
    const char *name;
    const char *value;
};

struct registries {
    struct registry_rule *rules;
    size_t rule_count;
    size_t rule_room;
    struct registry_alias *aliases;
    size_t alias_count;
    size_t alias_room;
    struct strv search;  /* hosts for short names */
    struct strv helpers; /* credential-helpers */
};

/* One file's text on top of what is there: rules are added, aliases and lists replaced. */
int registries_read(struct registries *into, const char *text, size_t length, const char *name,
        struct arena *arena, struct error *err);

/*
 * The configuration of this user: `path` alone if it is given, else the user's own file or /etc's,
 * and the files of registries.conf.d beside it in the order of their names. No file at all is fine:
 * short names are then docker.io's.
 */
int registries_load(
        const char *path, struct arena *arena, struct registries *ret, struct error *err);

/* The full names that a name may mean, best first; one for a name that has a host. */
int registries_resolve(const struct registries *registries, const struct reference *name,
        struct arena *arena, struct reference **ret, size_t *ret_count, struct error *err);

/* Somewhere to ask for an image: a host and the repository's path there. */
struct registry_endpoint {
    const char *host; /* "127.0.0.1:5000" */
    const char *path; /* "library/debian" */
    bool insecure;
    bool mirror;
};

/* Mirrors in their order, then the registry itself. -EACCES: blocked. With `push` no mirrors. */
int registries_endpoints(const struct registries *registries, const struct reference *name,
        bool push, struct arena *arena, struct registry_endpoint **ret, size_t *ret_count,
        struct error *err);
