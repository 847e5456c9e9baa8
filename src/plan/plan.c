#include "plan/plan.h"

#include <stdarg.h>
#include <stdlib.h>

void plan_add(struct plan *plan, enum step_place place, const struct step_ops *ops,
        const char *because, const void *args)
{
    plan->steps =
            arena_grow(plan->arena, plan->steps, plan->count, &plan->capacity, sizeof(struct step));
    plan->steps[plan->count++] = (struct step){ops, place, because, args};
}

const char *plan_pointer(struct plan *plan, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *pointer = arena_vprintf(plan->arena, format, args);
    va_end(args);
    return pointer;
}

int plan_new_slot(struct plan *plan)
{
    if (plan->slots >= PLAN_SLOTS_MAX)
        abort(); /* the configuration's lists are capped well below, by spec/check */
    return plan->slots++;
}

void plan_describe(const struct plan *plan, size_t index, struct step_text *text)
{
    const struct step *step = &plan->steps[index];

    text->calls = (struct strv){0};
    text->why = "";
    step->ops->describe(step, text);
}
