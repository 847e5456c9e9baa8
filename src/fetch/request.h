/* Requests that are answered one after the other: manifests, searches, asking whether one is let
 * in. */
#pragma once

#include "fetch/session.h"

/* Answers a WIRE_PING, WIRE_GET_MANIFEST, WIRE_PUT_MANIFEST or WIRE_SEARCH to the other side. `fd`
 * belongs to the caller. */
void request_answer(
        struct session *session, int folder_fd, const struct wire_message *message, int fd);
