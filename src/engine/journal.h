/*
 * The log driver journald: a workload's lines as entries of the journal, with the fields that
 * Docker and Podman give them (CONTAINER_ID, CONTAINER_NAME …). Spoken is the journal's native
 * protocol (systemd's JOURNAL_NATIVE_PROTOCOL): one datagram for each entry.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct journal {
    int sock;
    struct buf fields; /* those that are the same in all entries */
};

struct journal_source {
    const char *id, *name, *image, *tag; /* tag NULL: the short id */
};

/* -ENOENT, -ECONNREFUSED: no journal is there. Closed by the caller. */
int journal_open(const struct journal_source *source, struct journal *ret, struct error *err);

/* One line, without its newline; `part`: more of it follows. A journal that is gone loses it. */
void journal_send(
        struct journal *journal, const char *text, size_t length, bool is_error, bool part);
void journal_close(struct journal *journal);
