#include "rootfs/attr.h"

#include <fcntl.h>
#include <linux/mount.h>

#include "sys/mount.h"

static void add_call(struct attr_calls *calls, bool recursive, uint64_t set, uint64_t clear,
        uint64_t propagation)
{
    if (!set && !clear && !propagation)
        return;
    calls->calls[calls->count++] = (struct attr_call){
            recursive, {.attr_set = set, .attr_clr = clear, .propagation = propagation}};
}

/* Of the access time bits either all or none are cleared; what is set must not be cleared last. */
static uint64_t merged_clear(uint64_t first, uint64_t second, uint64_t set)
{
    return (first | second) & ~(set & ~(uint64_t)MOUNT_ATTR__ATIME);
}

struct attr_calls attr_plan(const struct mount_options *options, bool recursive, uint64_t base)
{
    struct attr_calls calls = {0};
    uint64_t all = options->propagation && options->propagation_rec ? options->propagation : base;
    uint64_t top = options->propagation_rec ? 0 : options->propagation;

    if (recursive) {
        /* What is made private first has lost its master and its peers. So what lies below a slave
         * is one too, and what lies below a shared mount stays as it is in the source. */
        if (top == MS_SLAVE && all == MS_PRIVATE)
            all = MS_SLAVE;
        if (top == MS_SHARED)
            all = 0;
        add_call(&calls, true, options->rec_set, options->rec_clear, all);
        add_call(&calls, false, options->set, options->clear, top);
        return calls;
    }
    uint64_t set = (options->rec_set & ~options->clear) | options->set;
    add_call(&calls, false, set, merged_clear(options->rec_clear, options->clear, set),
            top ? top : all);
    return calls;
}

int attr_apply(int fd, const struct attr_calls *calls, const char *what, struct error *err)
{
    for (size_t i = 0; i < calls->count; i++) {
        struct mount_attr attr = calls->calls[i].attr;
        unsigned flags = AT_EMPTY_PATH | (calls->calls[i].recursive ? AT_RECURSIVE : 0);
        int r = sys_mount_setattr(fd, "", flags, &attr);
        if (r < 0)
            return error_sys_hint(err, -r,
                    r == -EPERM ? "an option that the source's owner has fixed (read-only, nosuid, "
                                  "nodev, noexec, atime) cannot be taken back in a user namespace"
                                : NULL,
                    "set the attributes of the mount %s", what);
    }
    return 0;
}

void attr_describe_call(struct step_text *text, const char *fd_name, const struct attr_call *call)
{
    const struct mount_attr *attr = &call->attr;

    step_call(text,
            "mount_setattr(%s, \"\", AT_EMPTY_PATH%s, {attr_set=%s, attr_clr=%s, propagation=%s, "
            "userns_fd=0}, 32)",
            fd_name, call->recursive ? "|AT_RECURSIVE" : "",
            mount_attr_text(text->arena, attr->attr_set),
            mount_attr_text(text->arena, attr->attr_clr),
            mount_propagation_text(attr->propagation));
}

void attr_describe(struct step_text *text, const char *fd_name, const struct attr_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        attr_describe_call(text, fd_name, &calls->calls[i]);
}
