#include "sys/bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/door.h"

static long bpf(int command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

int sys_bpf_load_device(
        const struct bpf_insn *instructions, size_t count, char *log, size_t log_size)
{
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
            .expected_attach_type = BPF_CGROUP_DEVICE,
            .insns = (uintptr_t)instructions,
            .insn_cnt = (uint32_t)count,
            .license = (uintptr_t) "Apache-2.0",
            .prog_name = "viv_devices"};

    if (log) {
        attributes.log_buf = (uintptr_t)log;
        attributes.log_size = (uint32_t)log_size;
        attributes.log_level = 1;
    }
    return (int)SYS_CALL("bpf", bpf(BPF_PROG_LOAD, &attributes));
}

int sys_bpf_attach_device(int cgroup_fd, int program_fd, unsigned flags, int replaced_fd)
{
    union bpf_attr attributes = {.target_fd = (uint32_t)cgroup_fd,
            .attach_bpf_fd = (uint32_t)program_fd,
            .attach_type = BPF_CGROUP_DEVICE,
            .attach_flags = flags};

    if (flags & BPF_F_REPLACE)
        attributes.replace_bpf_fd = (uint32_t)replaced_fd;
    return (int)SYS_CALL("bpf", bpf(BPF_PROG_ATTACH, &attributes));
}

int sys_bpf_detach_device(int cgroup_fd, int program_fd)
{
    union bpf_attr attributes = {.target_fd = (uint32_t)cgroup_fd,
            .attach_bpf_fd = (uint32_t)program_fd,
            .attach_type = BPF_CGROUP_DEVICE};

    return (int)SYS_CALL("bpf", bpf(BPF_PROG_DETACH, &attributes));
}

int sys_bpf_query_device(int cgroup_fd, uint32_t *ids, uint32_t max)
{
    union bpf_attr attributes = {.query = {.target_fd = (uint32_t)cgroup_fd,
                                         .attach_type = BPF_CGROUP_DEVICE,
                                         .prog_ids = (uintptr_t)ids,
                                         .prog_cnt = max}};
    int r = (int)SYS_CALL("bpf", bpf(BPF_PROG_QUERY, &attributes));

    return r < 0 ? r : (int)attributes.query.prog_cnt;
}

int sys_bpf_program_by_id(uint32_t id)
{
    union bpf_attr attributes = {.prog_id = id};

    return (int)SYS_CALL("bpf", bpf(BPF_PROG_GET_FD_BY_ID, &attributes));
}

int sys_bpf_load_address(
        enum bpf_attach_type where, const struct bpf_insn *instructions, size_t count)
{
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
            .expected_attach_type = where,
            .insns = (uintptr_t)instructions,
            .insn_cnt = (uint32_t)count,
            .license = (uintptr_t) "Apache-2.0",
            .prog_name = "viv_address"};

    return (int)SYS_CALL("bpf", bpf(BPF_PROG_LOAD, &attributes));
}

int sys_bpf_attach_address(int cgroup_fd, int program_fd, enum bpf_attach_type where)
{
    union bpf_attr attributes = {.target_fd = (uint32_t)cgroup_fd,
            .attach_bpf_fd = (uint32_t)program_fd,
            .attach_type = where,
            .attach_flags = BPF_F_ALLOW_MULTI};

    return (int)SYS_CALL("bpf", bpf(BPF_PROG_ATTACH, &attributes));
}
