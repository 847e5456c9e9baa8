/*
 * What a configuration binds from the host into the workload's root, for a machine. A folder
 * becomes a share (virtio-fs); all single files together become one more, in which there is nothing
 * beside them. Where viv-vmm cannot have mounts of its own, which that takes, a file's content
 * travels to the guest instead, and what is changed in it stays on its side. /dev/shm becomes a
 * tmpfs of the guest's.
 */
#pragma once

#include "engine/vm.h"
#include "proto/agent.h"

#define VM_FILE_MAX ((size_t)1 << 20) /* bytes of a file whose content is sent */

/* Takes "idmap" without maps of its own from what is bound: a machine has no user namespace, and
 * owners in a share are the host's. What asks for a map stays. */
void vm_forget_idmap(struct spec *spec);

/* Rewrites the guest's mounts and notes shares, files and what is given away. -EOPNOTSUPP for
 * devices, sockets and the like, for id mappings and for mounts that would pass on others. */
int vm_translate_mounts(struct vm *vm, struct error *err);

/* Steps of the host that give away what "U" asks for: the guest sees neither which folders of the
 * host are to be left alone, nor what is mounted in them. An ordinary user's machine can give
 * nothing away that is not its user's, and the guest does it. */
void vm_step_mounts(struct plan *plan, struct vm *vm);

/* Adds shares and files to a message, to a machine that has greeted. -EFBIG for a file whose
 * content is to be sent and that is larger. Memory is in the arena. */
int vm_send_mounts(
        struct vm *vm, struct arena *arena, struct agent_create *into, struct error *err);
