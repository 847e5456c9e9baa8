/*
 * The last words of a machine: the end of what viv-vmm and the guest's kernel say on its console,
 * for the error that tells of its end. Read from the pipe that is viv-vmm's standard output and
 * standard error. For whoever waits for the machine: the one that boots it, then viv-shim.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

#define LASTWORDS_MAX 2048          /* bytes that are kept */
#define LASTWORDS_PATIENCE_MS 20000 /* for the end of a viv-vmm that has let go of its sockets */

/* What viv-vmm says last when it was asked to end the machine: who asked knows why. */
#define LASTWORDS_STOPPED "the machine ended: stopped"

struct lastwords {
    int fd; /* the pipe, non-blocking; borrowed. -1: there is none */
    struct buf tail;
};

/* Takes what is there now. False when nobody can say any more. */
bool lastwords_read(struct lastwords *words);

/* Takes all until nobody can say any more, for at most so long. False when that was not enough. */
bool lastwords_finish(struct lastwords *words, int patience_ms);

/* The lines as one, without what is no plain text; empty when nothing was said. Belongs to words.
 */
const char *lastwords_line(struct lastwords *words);

/* Frees what was read; the pipe stays open. */
void lastwords_free(struct lastwords *words);
#define _cleanup_lastwords_ __attribute__((cleanup(lastwords_free)))
