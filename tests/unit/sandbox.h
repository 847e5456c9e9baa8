/*
 * A small sandbox of the tests' own, to drive plans that are built with ns/ and rootfs/: a clone
 * step, and a last step that runs a function of the test inside and brings back what it printed.
 * The caller's process enters a private mount namespace first, so the machine's mounts stay as they
 * are whatever happens.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ns/steps.h"
#include "plan/run.h"

struct sandbox {
    struct arena arena;
    struct plan plan;
    struct plan_run run;
    struct ns_set set;
    char dir[64];  /* a scratch tmpfs, gone with this process's mount namespace */
    char root[96]; /* dir/root: an empty directory to be the root */
    char output[16384];
    struct error err;
};

/* A private mount namespace with a scratch directory; aborts the program when that is impossible.
 */
void sandbox_begin(struct sandbox *sandbox);
void sandbox_end(struct sandbox *sandbox); /* the child is killed if it lives */

/* Appends the clone step: new namespaces as set says, a joined PID namespace entered. */
void sandbox_add_clone(struct sandbox *sandbox);

/* Appends the end of the plan: `inside` runs in the child, its standard output is kept. */
void sandbox_add_run(struct sandbox *sandbox, void (*inside)(void *data), void *data);

/* Applies; 0 or negative with sandbox->err filled. The output is read and the child waited for. */
int sandbox_apply(struct sandbox *sandbox);

/* Writes a file of the scratch directory or the root, with its parents. */
void sandbox_file(struct sandbox *sandbox, const char *path, const char *content);

/* A child that stays until sandbox_end: it is made, and the plan ends there. */
int sandbox_hold(struct sandbox *sandbox);

/* For functions inside: the first line of a file or "error NAME"; an answer per thread. */
const char *inside_read(const char *path);

/* The options and propagation fields of the last mount at a point: "rw,nosuid master:1 - tmpfs". */
const char *inside_mount(const char *point);
