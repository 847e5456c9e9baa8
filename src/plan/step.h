/*
 * One kernel operation of a plan, as plain data. A step is made by the module that owns its kind
 * (`cgroup/steps.c`, `rootfs/steps.c` …) and applied, undone, described and sent elsewhere through
 * its ops table. plan/ knows no kind of step.
 *
 * `args` points to the owning module's own struct in the plan's arena and does not change once the
 * plan is built. What steps share while they are applied (descriptors, the child's pid) is in
 * struct plan_run, see run.h.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"

/* Where a step is applied. */
enum step_place {
    STEP_HOST,    /* viv's own process, in the namespaces that it was started in */
    STEP_CHILD,   /* the process that becomes the workload, inside the new namespaces */
    STEP_MACHINE, /* viv-vmm */
    STEP_GUEST,   /* the agent, in the guest's kernel */
    STEP_PLACES
};

struct plan_run;
struct step;

/* What describe() fills: the kernel calls of the step, as strace would print them, and why. */
struct step_text {
    struct arena *arena;
    struct strv calls;
    const char *why; /* one plain sentence; the manual page comes from ops->manual */
    bool calls_only; /* set by who does not want the sentence */
};

struct step_ops {
    const char *name;   /* the operation in the kernel's terms: "mount", "clone3" */
    const char *manual; /* "mount(2)", "cgroups(7)" */

    /* Does it. 0, or negative with the error filled. */
    int (*apply)(const struct step *step, struct plan_run *run, struct error *err);

    /* Takes a completed apply back; NULL when there is nothing that outlives the process it was
     * applied in. Never hangs. 0, or negative with the error filled. */
    int (*undo)(const struct step *step, struct plan_run *run, struct error *err);

    /* Tells, without touching anything. The calls are exactly those that apply makes, in that
     * order; a descriptor is written as a name in angle brackets: "<root>". */
    void (*describe)(const struct step *step, struct step_text *text);

    /* The table of the args struct, for steps that travel to another place; else NULL. */
    const struct record *record;
};

struct step {
    const struct step_ops *ops;
    enum step_place place;
    const char
            *because; /* JSON pointer of the line that asked for it; "" for what is always done */
    const void *args;
};

/* "host", "child", "machine", "guest". */
const char *step_place_name(enum step_place place);

/* Adds one kernel call to a description. Text arguments should go through step_quote(). */
void step_call(struct step_text *text, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Sets the sentence that says why; its capital and its full stop are given here. */
void step_why(struct step_text *text, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* The text in double quotes with C escapes, as strace prints it; NULL for NULL. */
const char *step_quote(struct arena *arena, const char *text);
