/*
 * Changes to the "config" object of an image's configuration (image-spec config.md), which may be
 * somebody hostile's: a member that is not of its type is replaced. Used inside this library.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"

/*
 * As a line of a Dockerfile says: "CMD /bin/sh", "ENV A=1 B=2", "LABEL a=b", "EXPOSE 80/tcp", also
 * with "=" behind the word. -EINVAL names the words that there are.
 */
int change_apply(struct json_object *config, const char *line, struct error *err);

/* Sets the members to what they are in `from`; a null takes one away. */
void change_replace(struct json_object *config, struct json_object *from);

/* An object's member of this type, array or object: it is made where there is none, or one of
 * another type. */
struct json_object *change_member(
        struct json_object *object, const char *name, enum json_type type);
