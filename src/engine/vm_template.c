#include "engine/vm_template.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

static struct vm *vm_of(const struct step *step)
{
    return (struct vm *)(uintptr_t)step->args;
}

static int template_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct vm *vm = vm_of(step);

    (void)err;
    run->fds[vm->template_slot] = template_open(&vm->template);
    return 0;
}

static void template_describe(const struct step *step, struct step_text *text)
{
    const struct vm *vm = vm_of(step);

    step_call(text, "openat(AT_FDCWD, \"%s/%s.snap\", O_RDONLY|O_CLOEXEC|O_NOFOLLOW)",
            vm->template.folder, vm->template.key);
    step_why(text, "Looks for a machine of the same make that was booted before; where there is "
                   "none, or it is damaged, this one is booted and kept for the next.");
}

static const struct step_ops template_ops = {
        .name = "template",
        .manual = "mmap(2)",
        .apply = template_apply,
        .describe = template_describe,
};

void vm_step_template(struct plan *plan, struct vm *vm)
{
    vm->template_slot = -1;
    if (!vm->template.folder)
        return;
    vm->template_slot = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &template_ops, "", vm);
}

bool vm_has_template(const struct vm *vm, const struct plan_run *run)
{
    return vm->template_slot >= 0 && run->fds[vm->template_slot] >= 0;
}

/* The folder's path may be longer than a socket's address. */
static int connect_control(const struct vm *vm)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" VM_CONTROL,
            vm->request->dir_fd);
    if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return take_fd(&sock);
}

void vm_keep_template(const struct vm *vm, const struct plan_run *run)
{
    if (!vm->template.folder || vm_has_template(vm, run))
        return;
    _cleanup_close_ int control = connect_control(vm);
    if (control >= 0)
        (void)template_keep(&vm->template, control, NULL);
}
