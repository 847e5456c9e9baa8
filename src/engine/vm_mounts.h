/*
 * What a configuration binds from the host into the workload's root, for a machine. A folder
 * becomes a share (virtio-fs). A file's content travels to the guest: sharing it would show the
 * folder around it; what the workload changes in it stays there. /dev/shm becomes a tmpfs of the
 * guest's.
 */
#pragma once

#include "engine/vm.h"
#include "proto/agent.h"

#define VM_FILE_MAX ((size_t)1 << 20) /* bytes of a file that is sent */

/* Takes "idmap" without maps of its own from what is bound: a machine has no user namespace, and
 * owners in a share are the host's. What asks for a map stays. */
void vm_forget_idmap(struct spec *spec);

/* Rewrites the guest's mounts and notes shares and files. -EOPNOTSUPP for devices, sockets and the
 * like, for id mappings and for mounts that would pass on others, -EFBIG for a file that is larger.
 */
int vm_translate_mounts(struct vm *vm, struct error *err);

/* Adds both to a message; reads the files. Memory is in the arena. */
int vm_send_mounts(
        struct vm *vm, struct arena *arena, struct agent_create *into, struct error *err);
