#include "rootfs/overlayself.h"

#include <linux/securebits.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sys/creds.h"
#include "sys/process.h"

int overlay_become(const struct overlay_mount *mount, struct overlay_self *self, struct error *err)
{
    int r = 0;

    *self = (struct overlay_self){0};
    if (mount->userns_fd < 0)
        return 0;
    self->securebits = sys_prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    if (self->securebits < 0)
        self->securebits = 0;
    self->changed = true;
    /* without it the rights over files would go with uid 0 */
    r = sys_prctl(
            PR_SET_SECUREBITS, (unsigned long)self->securebits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
    if (r >= 0)
        r = sys_setfsgid(mount->gid);
    if (r >= 0)
        r = sys_setfsuid(mount->uid);
    if (r >= 0)
        return 0;
    overlay_return(self);
    return error_sys(err, -r, "become the sandbox's root, %u, for its file system", mount->uid);
}

void overlay_return(const struct overlay_self *self)
{
    if (!self->changed)
        return;
    sys_setfsuid(geteuid());
    sys_setfsgid(getegid());
    sys_prctl(PR_SET_SECUREBITS, (unsigned long)self->securebits, 0, 0, 0);
}

/* Each is asked for afterwards: the calls tell no error. */
static void describe_ids(struct step_text *text, const char *first, const char *id,
        const char *second, const char *other)
{
    step_call(text, "%s(%s)", first, id);
    step_call(text, "%s(-1)", first);
    step_call(text, "%s(%s)", second, other);
    step_call(text, "%s(-1)", second);
}

void overlay_describe_become(const struct overlay_ids *ids, struct step_text *text)
{
    step_call(text, "prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)");
    describe_ids(text, "setfsgid", ids->gid, "setfsuid", ids->uid);
}

void overlay_describe_return(struct step_text *text)
{
    describe_ids(text, "setfsuid", arena_printf(text->arena, "%u", geteuid()), "setfsgid",
            arena_printf(text->arena, "%u", getegid()));
    step_call(text, "prctl(PR_SET_SECUREBITS, 0)");
}
