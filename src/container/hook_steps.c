#include "container/hook_steps.h"

#include "container/hooks.h"
#include "plan/run.h"

struct hook_args {
    const struct spec_hook *hook;
    const char *name;
    const struct spec_state *state;
    enum spec_status status;
};

static int hook_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct hook_args *args = step->args;
    struct spec_state state = *args->state;

    state.status = spec_status_name(args->status);
    state.pid = run->child;
    const char *directory = step->place == STEP_HOST ? state.bundle : NULL;
    int r = container_hook_run(args->hook, &state, directory, err);
    return r < 0 ? error_prefix(err, "%s", args->name) : 0;
}

static void hook_describe(const struct step *step, struct step_text *text)
{
    const struct hook_args *args = step->args;

    step_call(text, "execve(%s)", step_quote(text->arena, args->hook->path));
    step_why(text, "Runs a program of the %s hooks and waits for it.", args->name);
}

static const struct step_ops hook_ops = {
        .name = "execve",
        .manual = "execve(2)",
        .apply = hook_apply,
        .describe = hook_describe,
};

void container_hook_steps(struct plan *plan, enum step_place place,
        const struct spec_hook_list *hooks, const char *name, const struct spec_state *state,
        enum spec_status status)
{
    for (size_t i = 0; i < hooks->count; i++) {
        struct hook_args *args = arena_new(plan->arena, struct hook_args);
        *args = (struct hook_args){&hooks->items[i], name, state, status};
        plan_add(plan, place, &hook_ops, plan_pointer(plan, "/hooks/%s/%zu", name, i), args);
    }
}
