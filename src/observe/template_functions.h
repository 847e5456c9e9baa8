/* The functions of templates (template.h). Values are borrowed from the data, or owned by `made`.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "observe/template_tree.h"

/* Calls a function; `*ret` may be NULL (no value). New values are added to the array `made`, which
 * owns them. -EINVAL: unknown, or the arguments do not fit. */
int template_call(const char *name, struct json_object *const *args, size_t count,
        struct json_object *made, struct json_object **ret, struct error *err);

/* Whether a value counts as true: not empty, not zero. */
bool template_truth(struct json_object *value);

/* As it is printed; in `made` when it has to be made. */
const char *template_text(struct json_object *value, struct json_object *made);
