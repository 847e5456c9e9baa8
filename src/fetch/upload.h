/* Beginning an upload: is the blob there already, may it be taken from another repository, where do
 * its bytes go (distribution-spec, "Pushing blobs"). */
#pragma once

#include "fetch/session.h"

/* Sets `http` up for the PUT of the bytes, without their descriptor; or finds the blob present. */
int upload_prepare(struct session *session, struct endpoint *endpoint,
        const struct wire_message *blob, struct http *http, bool *ret_present, struct error *err);
