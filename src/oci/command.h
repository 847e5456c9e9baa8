/*
 * viv-oci: the command line of runc. One table of commands; each command is a function that reads
 * its own words, acts through container/ and returns an exit status. Only this folder prints.
 */
#pragma once

#include <stdio.h>

#include "base/log.h"
#include "container/container.h"

/* What stands before the command's name. */
struct oci {
    struct arena *arena;
    char **argv; /* of the whole program, for starting it again */
    struct store store;
    const char *root;
    struct log log;
    bool debug;
    bool machine;             /* started as viv-oci-vm */
    struct opt_bool rootless; /* --rootless; absent: found out by looking */
    enum cgroup_manager manager;
};

/* Runs with the arguments behind the command's name. A status, or negative with the error filled,
 * which the caller tells. */
typedef int (*oci_command_fn)(struct oci *oci, int argc, char **argv, struct error *err);

struct oci_command {
    const char *name;
    const char *about;
    oci_command_fn run;
};

/* The commands: each reads its own arguments. Returns the exit status, or a negative errno. */
int oci_checkpoint(struct oci *oci, int argc, char **argv, struct error *err);
int oci_create(struct oci *oci, int argc, char **argv, struct error *err);
int oci_delete(struct oci *oci, int argc, char **argv, struct error *err);
int oci_events(struct oci *oci, int argc, char **argv, struct error *err);
int oci_exec(struct oci *oci, int argc, char **argv, struct error *err);
int oci_features(struct oci *oci, int argc, char **argv, struct error *err);
int oci_kill(struct oci *oci, int argc, char **argv, struct error *err);
int oci_list(struct oci *oci, int argc, char **argv, struct error *err);
int oci_mounts(struct oci *oci, int argc, char **argv, struct error *err);
int oci_pause(struct oci *oci, int argc, char **argv, struct error *err);
int oci_ps(struct oci *oci, int argc, char **argv, struct error *err);
int oci_restore(struct oci *oci, int argc, char **argv, struct error *err);
int oci_resume(struct oci *oci, int argc, char **argv, struct error *err);
int oci_run(struct oci *oci, int argc, char **argv, struct error *err);
int oci_spec(struct oci *oci, int argc, char **argv, struct error *err);
int oci_start(struct oci *oci, int argc, char **argv, struct error *err);
int oci_state(struct oci *oci, int argc, char **argv, struct error *err);
int oci_update(struct oci *oci, int argc, char **argv, struct error *err);
