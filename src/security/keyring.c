#include "security/keyring.h"

#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plan/run.h"
#include "sys/creds.h"

#define USER_SEARCH 0x00080000u /* KEY_USR_SEARCH of keyctl_setperm(3) */

struct keyring_args {
    const char *name;
};

/* The permissions out of "keyring;0;0;3f010000;_ses.x". */
static int read_permissions(int32_t key, uint32_t *ret, struct error *err)
{
    char text[512];
    const char *at = text;

    int r = sys_keyctl_describe(key, text, sizeof(text) - 1);
    if (r < 0)
        return error_sys(err, -r, "describe the session keyring");
    text[sizeof(text) - 1] = 0;
    for (int i = 0; i < 3 && at; i++) {
        at = strchr(at, ';');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return error_set(
                err, EPROTO, "the session keyring's description \"%s\" makes no sense", text);
    *ret = (uint32_t)strtoul(at, NULL, 16);
    return 0;
}

static int keyring_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct keyring_args *args = step->args;
    uint32_t permissions;

    (void)run;
    int32_t key = sys_keyctl_join_session(args->name);
    if (key == -ENOSYS)
        return error_set(err, ENOSYS,
                "this kernel has no keyrings, or a seccomp filter hides them; --no-new-keyring "
                "goes without");
    if (key < 0)
        return error_sys(err, -key, "make the session keyring %s%s", args->name,
                key == -EDQUOT ? " (the quota of keys is used up; see keyrings(7))" : "");
    int r = read_permissions(key, &permissions, err);
    if (r < 0)
        return r;
    r = sys_keyctl_setperm(key, permissions | USER_SEARCH);
    return r < 0 ? error_sys(err, -r, "let the user search the session keyring") : 0;
}

static void keyring_describe(const struct step *step, struct step_text *text)
{
    const struct keyring_args *args = step->args;

    step_call(text, "keyctl(KEYCTL_JOIN_SESSION_KEYRING, %s)", step_quote(text->arena, args->name));
    step_call(text, "keyctl(KEYCTL_DESCRIBE, <keyring>, <text>, 511)");
    step_call(text, "keyctl(KEYCTL_SETPERM, <keyring>, <permissions with KEY_USR_SEARCH>)");
    step_why(text, "A session keyring of its own: the caller's keys stay out of its sight.");
}

static const struct field keyring_fields[] = {FIELD(struct keyring_args, name, FIELD_STR)};
static const struct record keyring_record = RECORD(struct keyring_args, keyring_fields);
static const struct step_ops keyring_ops = {
        "keyctl", "keyrings(7)", keyring_apply, NULL, keyring_describe, &keyring_record};

void keyring_step(struct plan *plan, enum step_place place, const char *because, const char *id)
{
    struct keyring_args *args = arena_new(plan->arena, struct keyring_args);

    args->name = arena_printf(plan->arena, "_ses.%s", id);
    plan_add(plan, place, &keyring_ops, because, args);
}
