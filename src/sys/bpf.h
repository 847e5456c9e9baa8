/* bpf(2), as far as control groups need it. Descriptors are close-on-exec. See door.h for the
 * returns. */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

/* Loads a BPF_PROG_TYPE_CGROUP_DEVICE program. `log` (may be NULL) gets the verifier's words. */
int sys_bpf_load_device(
        const struct bpf_insn *instructions, size_t count, char *log, size_t log_size);

/* Attaches it to a cgroup; `flags` is BPF_F_ALLOW_MULTI …; with BPF_F_REPLACE it takes the place of
 * `replaced_fd`. */
int sys_bpf_attach_device(int cgroup_fd, int program_fd, unsigned flags, int replaced_fd);
int sys_bpf_detach_device(int cgroup_fd, int program_fd);

/* The ids of the device programs attached to the cgroup itself; how many there are, or -ENOSPC. */
int sys_bpf_query_device(int cgroup_fd, uint32_t *ids, uint32_t max);
int sys_bpf_program_by_id(uint32_t id);

/* A program that looks at the addresses of sockets (BPF_CGROUP_INET4_CONNECT …), and may change
 * them: loaded, and attached beside others. */
int sys_bpf_load_address(
        enum bpf_attach_type where, const struct bpf_insn *instructions, size_t count);
int sys_bpf_attach_address(int cgroup_fd, int program_fd, enum bpf_attach_type where);
