/*
 * The kinds of step that steps.h appends, with the plain structs of their arguments. Internal to
 * cgroup/; others use steps.h.
 */
#pragma once

#include "cgroup/writes.h"
#include "plan/step.h"

/* mkdir(2) of a cgroup, and opening what enters it. */
struct cgroup_mkdir_args {
    const char *path;
    bool shared; /* a parent: others may have made it meanwhile, or use it when it is taken back */
    bool may_exist; /* the scope's own directory, which systemd may have made */
    int slot;       /* of the descriptor for entering; -1: none is opened */
    bool unified;
    uint32_t controllers; /* of the hierarchy, for the explanation */
};
extern const struct step_ops cgroup_mkdir_ops;

/* Only the opening, for a cgroup that exists. */
extern const struct step_ops cgroup_open_ops;

/* One write to one file (struct cgroup_write). */
extern const struct step_ops cgroup_write_ops;

/* "+cpu +memory" to a v2 directory's cgroup.subtree_control. */
struct cgroup_enable_args {
    const char *dir;
    const char *text;     /* all at once */
    const char *required; /* those of them that must succeed, "" for none */
};
extern const struct step_ops cgroup_enable_ops;

/* Moves the processes of a v2 cgroup into one below it, so that controllers can be enabled. */
struct cgroup_evacuate_args {
    const char *dir, *leaf;
};
extern const struct step_ops cgroup_evacuate_ops;

/* Moves the child into a v2 cgroup below its own, which is made when it is missing. */
struct cgroup_descend_args {
    const char *dir;
};
extern const struct step_ops cgroup_descend_ops;

/* chown(2) of what a v2 cgroup's new master needs. */
struct cgroup_delegate_args {
    const char *dir;
    uint32_t uid, gid;
};
extern const struct step_ops cgroup_delegate_ops;

/* v1 device lists. */
struct cgroup_device_lines_args {
    const char *dir;
    struct strv lines;
};
extern const struct step_ops cgroup_device_lines_ops;

/* v2 device program. */
struct cgroup_device_program_args {
    const char *dir;
    struct bpf_insn *program;
    size_t count;
    const struct cgroup_device_loaded *loaded; /* perhaps this one; NULL: none is */
};
extern const struct step_ops cgroup_device_program_ops;

/* The child's entering: "0" to each open v1 `tasks` file. */
struct cgroup_attach_args {
    const int *slots;
    const char *const *paths;
    size_t count;
};
extern const struct step_ops cgroup_attach_ops;

/* How long undo waits for processes in a cgroup to end. */
#define CGROUP_UNDO_WAIT_US 10000000
