/* viv-oci-vm: the same commands, for containers that are in a machine of their own. */
#pragma once

#include "container/container.h"
#include "oci/command.h"

/* As container_make(), in a machine. The bundle's root becomes the machine's disk: what the
 * workload writes to it ends with the machine. */
int oci_machine_make(struct oci *oci, struct container_request *request,
        struct container_making *ret, struct error *err);
