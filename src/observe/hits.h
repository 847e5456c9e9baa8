/* What the search of a registry has found, and the tags of a repository, as lists. */
#pragma once

#include <stdio.h>

#include "image/image.h"

/* Which hits are shown. */
struct hits_filter {
    uint64_t stars; /* so many at least */
    bool official, automated, asks_official, asks_automated;
};

/* "stars=N", "is-official=true", "is-automated=false". -EINVAL. */
int hits_filter_read(const struct strv *filters, struct hits_filter *ret, struct error *err);

struct hits_choice {
    struct hits_filter filter;
    size_t most;        /* no more than these */
    bool no_trunc;      /* whole descriptions */
    const char *format; /* as in format.h; "table": the usual one */
};

/* What passes, in the order in which the registry told it. */
int hits_print(const struct image_hit *hits, size_t count, const struct hits_choice *choice,
        struct arena *arena, FILE *out, struct error *err);

/* Whole names with a tag, as image_tags() has them. */
int hits_print_tags(const struct strv *tags, const struct hits_choice *choice, struct arena *arena,
        FILE *out, struct error *err);
