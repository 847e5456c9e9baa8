#include "guest/readdress.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/bpf.h"

#define CGROUPS "/sys/fs/cgroup"

enum { CONTEXT = BPF_REG_1, VALUE = BPF_REG_2, RESULT = BPF_REG_0 };

static struct bpf_insn load(size_t field)
{
    return (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W,
            .dst_reg = VALUE,
            .src_reg = CONTEXT,
            .off = (int16_t)field};
}

static struct bpf_insn unless(uint32_t value, int16_t jump)
{
    return (struct bpf_insn){
            .code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = VALUE, .off = jump, .imm = (int)value};
}

/* Of datagrams' addresses with `ip` and `from` the port becomes `to`. */
static int exchange(int cgroup_fd, enum bpf_attach_type where, in_addr_t ip, in_port_t from,
        in_port_t to, struct error *err)
{
    const size_t port = offsetof(struct bpf_sock_addr, user_port);
    const struct bpf_insn program[] = {
            load(offsetof(struct bpf_sock_addr, type)),
            unless(SOCK_DGRAM, 6),
            load(offsetof(struct bpf_sock_addr, user_ip4)),
            unless(ip, 4),
            load(port),
            unless(from, 2),
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = VALUE, .imm = to},
            {.code = BPF_STX | BPF_MEM | BPF_W,
                    .dst_reg = CONTEXT,
                    .src_reg = VALUE,
                    .off = (int16_t)port},
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = RESULT, .imm = 1},
            {.code = BPF_JMP | BPF_EXIT},
    };
    _cleanup_close_ int fd = sys_bpf_load_address(where, program, ARRAY_SIZE(program));
    int r = fd < 0 ? fd : sys_bpf_attach_address(cgroup_fd, fd, where);

    return r < 0 ? error_sys(err, -r, "send questions for names to the agent (bpf(2))") : 0;
}

int readdress(const struct sockaddr_in *meant, in_port_t port, struct error *err)
{
    static const enum bpf_attach_type ways[] = {BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_UDP4_SENDMSG};
    in_addr_t ip = meant->sin_addr.s_addr;
    _cleanup_close_ int cgroup = open(CGROUPS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = cgroup < 0 ? error_sys(err, errno, "open " CGROUPS) : 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ways); i++)
        r = exchange(cgroup, ways[i], ip, meant->sin_port, port, err);
    return r < 0 ? r : exchange(cgroup, BPF_CGROUP_UDP4_RECVMSG, ip, port, meant->sin_port, err);
}
