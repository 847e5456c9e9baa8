#include "engine/vm_template.h"

#include <sys/socket.h>

#include "base/cleanup.h"
#include "engine/vm_socket.h"

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
    if (!vm->template.folder && !vm->config->going_on)
        return;
    vm->template_slot = plan_new_slot(plan);
    if (vm->config->going_on) /* that was opened before */
        return;
    plan_add(plan, STEP_HOST, &template_ops, "", vm);
}

bool vm_has_template(const struct vm *vm, const struct plan_run *run)
{
    return vm->template_slot >= 0 && run->fds[vm->template_slot] >= 0;
}

void vm_keep_template(const struct vm *vm, const struct plan_run *run)
{
    if (!vm->template.folder || vm_has_template(vm, run))
        return;
    _cleanup_close_ int control =
            vm_socket_connect(vm->request->dir_fd, VM_CONTROL, SOCK_SEQPACKET);
    if (control >= 0)
        (void)template_keep(&vm->template, control, NULL);
}
