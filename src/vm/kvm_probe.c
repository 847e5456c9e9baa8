#include "vm/kvm_probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "vm/accel_kvm.h"
#include "vm/clock.h"

#define PORT 0xf4
#define MEMORY_SIZE ((uint64_t)2 << 20)
#define LOOP_INSTRUCTIONS 200000.0
#define LOOPS 3
#define GOOD_ENOUGH 20e6 /* instructions in a second; true hardware does thousands of millions */
#define CACHE_FILE ".kvm-verdict"

enum {
    AT_PML4 = 0x1000,
    AT_PDPT = 0x2000,
    AT_PD = 0x3000,
    AT_IDT = 0x4000,
    AT_GDT = 0x5000,
    AT_STACK = 0x8000,
    AT_CODE = 0x10000,
    AT_HANDLER = 0x11000
};

/* What the guest has passed when it writes a number to the port. */
enum { PASSED_CMPXCHG16B = 1, PASSED_INT3, PASSED_XRSTOR, PASSED_LOOP };

static const uint8_t code[] = {
        0xbf, 0x00, 0x90, 0x00, 0x00,       /* mov $0x9000, %edi */
        0x31, 0xc0, 0x31, 0xd2,             /* xor %eax, %eax; xor %edx, %edx */
        0x31, 0xdb, 0x31, 0xc9,             /* xor %ebx, %ebx; xor %ecx, %ecx */
        0xf0, 0x48, 0x0f, 0xc7, 0x0f,       /* lock cmpxchg16b (%rdi) */
        0xb0, 0x01, 0xe6, PORT,             /* mov $1, %al; out */
        0xcc,                               /* int3 */
        0xb0, 0x02, 0xe6, PORT,             /* mov $2, %al; out */
        0xbf, 0x00, 0xa0, 0x00, 0x00,       /* mov $0xa000, %edi */
        0xb8, 0x03, 0x00, 0x00, 0x00,       /* mov $3, %eax: x87 and SSE */
        0x31, 0xd2, 0x0f, 0xae, 0x2f,       /* xor %edx, %edx; xrstor (%rdi) */
        0xb0, 0x03, 0xe6, PORT,             /* mov $3, %al; out */
        0xb9, 0xa0, 0x86, 0x01, 0x00,       /* again: mov $100000, %ecx */
        0xff, 0xc9, 0x75, 0xfc,             /* dec %ecx; jnz back */
        0xb0, 0x04, 0xe6, PORT, 0xeb, 0xf1, /* mov $4, %al; out; jmp again */
};

static const uint8_t handler[] = {0x48, 0xcf}; /* iretq */

struct probe {
    struct memory memory;
    struct bus mmio, pio;
    void *accel, *vcpu;
    uint32_t passed;
    unsigned loops;
    uint64_t last_ns, best_ns;
};

static void on_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    struct probe *probe = device;
    uint64_t now = clock_now_ns();

    (void)offset;
    (void)size;
    probe->passed = (uint32_t)value;
    if (value == PASSED_LOOP) {
        if (now - probe->last_ns < probe->best_ns)
            probe->best_ns = now - probe->last_ns;
        if (++probe->loops >= LOOPS)
            accel_kvm_ops.kick(probe->vcpu);
    }
    probe->last_ns = clock_now_ns();
}

static uint64_t on_read(void *device, uint64_t offset, unsigned size)
{
    (void)device;
    (void)offset;
    (void)size;
    return 0;
}

static const struct bus_ops port_ops = {"probe", on_read, on_write};

static void write64(struct memory *memory, uint64_t at, uint64_t value)
{
    memory_write(memory, at, &value, sizeof(value));
}

/* Long mode with the first 2 MiB mapped as they are, and an interrupt table with INT3 in it. */
static void set_up_guest(struct probe *probe, struct cpu_state *state)
{
    struct memory *memory = &probe->memory;
    struct cpu_segment data = {.limit = UINT32_MAX,
            .selector = 0x10,
            .type = 3,
            .present = 1,
            .db = 1,
            .s = 1,
            .g = 1};

    write64(memory, AT_PML4, AT_PDPT | 3);
    write64(memory, AT_PDPT, AT_PD | 3);
    write64(memory, AT_PD, 0x83);
    write64(memory, AT_GDT + 8, 0x00af9b000000ffffULL);
    write64(memory, AT_GDT + 16, 0x00cf93000000ffffULL);
    write64(memory, AT_IDT + 3 * 16,
            (uint64_t)(AT_HANDLER >> 16) << 48 | 0x8e00ULL << 32 | 8 << 16 | (AT_HANDLER & 0xffff));
    memory_write(memory, AT_CODE, code, sizeof(code));
    memory_write(memory, AT_HANDLER, handler, sizeof(handler));

    for (int i = 0; i < CPU_SEGMENTS; i++)
        state->segment[i] = data;
    state->segment[CPU_CS] = (struct cpu_segment){
            .limit = UINT32_MAX, .selector = 8, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1};
    state->tr = (struct cpu_segment){.limit = 0x67, .type = 0xb, .present = 1};
    state->gdt = (struct cpu_table){AT_GDT, 23};
    state->idt = (struct cpu_table){AT_IDT, 16 * 16 - 1};
    state->cr0 = 0x80000033;
    state->cr3 = AT_PML4;
    state->cr4 = 0x40620; /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
    state->efer = 0x500;
    state->rflags = 2;
    state->rip = AT_CODE;
    state->gpr[CPU_RSP] = AT_STACK;
    state->fcw = 0x37f;
    state->mxcsr = 0x1f80;
}

static int run_guest(struct probe *probe, struct error *err)
{
    const struct accel_ops *kvm = &accel_kvm_ops;
    struct accel_config config = {
            .memory = &probe->memory, .mmio = &probe->mmio, .pio = &probe->pio, .cpus = 1};
    struct accel_vcpu_state state;
    int r = memory_init(&probe->memory, MEMORY_SIZE, err);

    if (r == 0)
        r = bus_add(&probe->pio, PORT, 1, &port_ops, probe, err);
    if (r == 0)
        r = kvm->open(&config, &probe->accel, err);
    if (r == 0)
        r = kvm->vcpu_new(probe->accel, 0, &probe->vcpu, err);
    if (r == 0)
        r = kvm->get_state(probe->vcpu, &state, err);
    if (r < 0)
        return r;
    set_up_guest(probe, &state.cpu);
    r = kvm->set_state(probe->vcpu, &state, err);
    if (r < 0)
        return r;
    switch (kvm->run(probe->vcpu, err)) {
    case ACCEL_KICKED:
        return 0;
    case ACCEL_SHUTDOWN:
        return error_set(err, EIO, "triple fault");
    default:
        return -EIO;
    }
}

static void end_guest(struct probe *probe)
{
    if (probe->vcpu)
        accel_kvm_ops.vcpu_free(probe->vcpu);
    if (probe->accel)
        accel_kvm_ops.close(probe->accel);
    memory_free(&probe->memory);
}

static bool judge(char *verdict, size_t size)
{
    static const char *const next[] = {"CMPXCHG16B", "INT3", "XRSTOR", "a loop", "a loop"};
    struct probe probe = {.best_ns = UINT64_MAX};
    struct error err = ERROR_NONE;
    int r = run_guest(&probe, &err);
    double speed = LOOP_INSTRUCTIONS * 1e9 / (double)(probe.best_ns ? probe.best_ns : 1);

    if (r < 0 && !probe.vcpu)
        snprintf(verdict, size, "%.200s", err.text);
    else if (r < 0)
        snprintf(verdict, size,
                "/dev/kvm fails at %s in guest kernel mode, as some nested kinds do",
                next[probe.passed <= PASSED_LOOP ? probe.passed : PASSED_LOOP]);
    else if (speed < GOOD_ENOUGH)
        snprintf(verdict, size,
                "/dev/kvm runs guest kernel code at %.1f million instructions a "
                "second, as some nested kinds do",
                speed / 1e6);
    else
        snprintf(verdict, size, "/dev/kvm passed its self-test");
    bool good = r == 0 && speed >= GOOD_ENOUGH;
    end_guest(&probe);
    return good;
}

/* ---- the kept verdict: "<boot id> good|bad <verdict>" ---- */

static bool read_cache(int dir, const char *boot, bool *ret_good, char *verdict, size_t size)
{
    char text[512];

    if (io_read_small_at(dir, CACHE_FILE, text, sizeof(text)) < 0)
        return false;
    const char *rest = str_after(text, boot);
    if (!rest)
        return false;
    const char *good = str_after(rest, " good "), *bad = str_after(rest, " bad ");
    if (!good && !bad)
        return false;
    *ret_good = good;
    snprintf(verdict, size, "%s", good ? good : bad);
    return true;
}

static void write_cache(int dir, const char *boot, bool good, const char *verdict)
{
    char text[512];
    int length = snprintf(text, sizeof(text), "%s %s %s\n", boot, good ? "good" : "bad", verdict);

    /* a cache that cannot be written costs the next start a test, nothing else */
    (void)io_replace_file_at(dir, CACHE_FILE, text, (size_t)length, 0644, false);
}

bool kvm_probe(const char *cache_dir, char *verdict, size_t size)
{
    _cleanup_close_ int dir = -1;
    char boot[64] = "";
    bool good;

    if (access("/dev/kvm", R_OK | W_OK) < 0) { /* quick to find out, and may change */
        snprintf(verdict, size, "no usable /dev/kvm (%s)", error_name(errno));
        return false;
    }
    if (cache_dir && io_make_dirs_at(AT_FDCWD, cache_dir, 0755) == 0)
        dir = open(cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool keep = dir >= 0 && io_read_small_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot,
                                    sizeof(boot)) > 0;
    if (keep && read_cache(dir, boot, &good, verdict, size))
        return good;
    good = judge(verdict, size);
    if (keep)
        write_cache(dir, boot, good, verdict);
    return good;
}
