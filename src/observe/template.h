/*
 * `--format TEMPLATE`: Go's templates as far as people use them with Docker and Podman, over JSON.
 *
 *     {{.Names}}  {{.State.Pid}}  {{.Label "a"}}  {{json .}}  {{$x := .A}}{{$x}}
 *     {{if .A}}…{{else if .B}}…{{else}}…{{end}}  {{with .A}}…{{end}}
 *     {{range .List}}{{.}}{{else}}none{{end}}  {{range $key, $item := .Map}}…{{end}}
 *     {{.A | lower | printf "%s!"}}  {{- trimmed -}}
 *
 * Functions: and or not eq ne lt le gt ge index slice len print printf println json join split
 * lower upper title truncate pad; label, which stands behind .Label.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "observe/template_tree.h"

struct template;

/* Takes the text apart; in the arena. -EINVAL. */
int template_parse(struct arena *arena, const char *text, struct template **ret, struct error *err);

/*
 * Appends what the template makes of the data. -EINVAL: a member that is not there (at the top;
 * deeper down it prints as "<no value>"), a function that does not fit; -E2BIG: too much work.
 */
int template_render(const struct template *template, struct json_object *data, struct buf *out,
        struct error *err);

/* For tables: the template's members in capitals, ".CreatedAt" as "CREATED AT", and `names` for
 * those that are called otherwise, pairs up to a NULL. */
int template_heading(const struct template *template, const char *const *names, struct buf *out,
        struct error *err);
