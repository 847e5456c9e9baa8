/* Helpers that the commands share: their options and the container they name. */
#pragma once

#include <getopt.h>

#include "oci/command.h"

/*
 * getopt_long with an error in place of a message: returns the option's value, -1 at the end, '?'
 * with the error filled. `in_order`: stops at the first word that is no option. To be called until
 * it returns -1 or '?'; then optind is the first word.
 */
int oci_getopt(int argc, char **argv, const char *letters, const struct option *options,
        bool in_order, struct error *err);

/* Options may be before and behind the container's id; this reads the one word that is left. */
int oci_one_word(int argc, char **argv, const char **ret_id, struct error *err);

/* The container's id and everything about it. */
int oci_open(struct oci *oci, const char *id, struct container *ret, struct error *err);

/* An option with a number. */
int oci_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret,
        struct error *err);

/* Writes a pid file, relative to the working directory of whoever called. */
int oci_write_pid(const char *path, pid_t pid, struct error *err);

/* Before a container without a user namespace of its own is made or entered: see security/self.h.
 */
int oci_protect(struct oci *oci, struct error *err);
