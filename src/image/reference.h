/*
 * References: the names of images, "[host[:port]/]path[:tag][@digest]", in the grammar that
 * Docker's registries use. Short names ("debian") have no host; registries.h finds one for them.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

#define REFERENCE_NAME_MAX 255 /* host and path together */
#define REFERENCE_TAG_MAX 128

struct reference {
    const char *domain; /* "docker.io", "localhost:5000"; NULL: a short name */
    const char *path;   /* "library/debian" */
    const char *tag;    /* NULL: none given */
    const char *digest; /* NULL: none given */
};

/* Strings live in the arena. -EINVAL says what in the text is wrong. Nothing is filled in: a text
 * without tag stays so. */
int reference_parse(
        const char *text, struct arena *arena, struct reference *ret, struct error *err);

/* With the defaults: "library/" on docker.io where the path is one word, and the tag "latest" where
 * there is neither tag nor digest. */
struct reference reference_complete(const struct reference *reference, struct arena *arena);

/* "docker.io/library/debian" */
char *reference_name(const struct reference *reference, struct arena *arena);

/* The whole of it, digest first choice over nothing: "docker.io/library/debian:12@sha256:…". */
char *reference_text(const struct reference *reference, struct arena *arena);
