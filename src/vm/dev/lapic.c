#include "vm/dev/lapic.h"

#include <string.h>

enum {
    REG_ID = 0x20,
    REG_VERSION = 0x30,
    REG_TPR = 0x80,
    REG_PPR = 0xa0,
    REG_EOI = 0xb0,
    REG_LDR = 0xd0,
    REG_DFR = 0xe0,
    REG_SVR = 0xf0,
    REG_ISR = 0x100,
    REG_TMR = 0x180,
    REG_IRR = 0x200,
    REG_ESR = 0x280,
    REG_ICR = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT_TIMER = 0x320,
    REG_LVT_LAST = 0x370,
    REG_TIMER_COUNT = 0x380,
    REG_TIMER_CURRENT = 0x390,
    REG_TIMER_DIVIDE = 0x3e0,
    REG_SELF_IPI = 0x3f0,
};

#define VERSION 0x00050014U /* integrated APIC, six LVT entries */
#define SVR_ENABLED (1U << 8)
#define LVT_MASKED (1U << 16)
#define TIMER_MODE(lvt) (((lvt) >> 17) & 3)

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

static uint32_t *reg_at(const struct lapic *lapic, uint32_t offset)
{
    return (uint32_t *)(uintptr_t)(lapic->page + (offset & (LAPIC_PAGE - 16)));
}

static bool is_x2apic(const struct lapic *lapic)
{
    return lapic->base & LAPIC_BASE_X2APIC;
}

static void set_id(struct lapic *lapic, uint32_t id)
{
    *reg_at(lapic, REG_ID) = is_x2apic(lapic) ? id : id << 24;
    if (is_x2apic(lapic))
        *reg_at(lapic, REG_LDR) = (id >> 4) << 16 | 1U << (id & 15);
}

static void reset(struct lapic *lapic, uint32_t id)
{
    memset(lapic->page, 0, sizeof(lapic->page));
    *reg_at(lapic, REG_VERSION) = VERSION;
    *reg_at(lapic, REG_DFR) = UINT32_MAX;
    *reg_at(lapic, REG_SVR) = 0xff;
    for (uint32_t offset = REG_LVT_TIMER; offset <= REG_LVT_LAST; offset += 16)
        *reg_at(lapic, offset) = LVT_MASKED;
    set_id(lapic, id);
    lapic->tsc_deadline = lapic->timer_ns = lapic->period_ns = 0;
}

void lapic_init(struct lapic *lapic, uint32_t id, const struct lapic_hooks *hooks)
{
    *lapic = (struct lapic){.hooks = *hooks};
    lapic->base = LAPIC_BASE | LAPIC_BASE_ENABLED | (id == 0 ? LAPIC_BASE_BOOT : 0);
    reset(lapic, id);
}

uint32_t lapic_id(const struct lapic *lapic)
{
    return is_x2apic(lapic) ? *reg_at(lapic, REG_ID) : *reg_at(lapic, REG_ID) >> 24;
}

static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
    uint32_t ldr = *reg_at(lapic, REG_LDR);

    if (is_x2apic(lapic))
        return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
    ldr >>= 24;
    if (*reg_at(lapic, REG_DFR) >> 28 == 0xf) /* flat model */
        return ldr & destination;
    return ldr >> 4 == destination >> 4 && (ldr & destination & 0xf);
}

bool lapic_is_destination(const struct lapic *lapic, uint32_t destination, bool logical)
{
    /* 0xff is everybody for an xAPIC, also as sender (an IOAPIC has eight bits) */
    if (destination == UINT32_MAX || (destination == 0xff && !is_x2apic(lapic)))
        return true;
    return logical ? matches_logical(lapic, destination) : lapic_id(lapic) == destination;
}

static uint32_t vector_bit(uint8_t vector)
{
    return 1U << (vector & 31);
}

static uint32_t *vector_reg(const struct lapic *lapic, uint32_t base, uint8_t vector)
{
    return reg_at(lapic, base + (uint32_t)(vector >> 5) * 16);
}

void lapic_accept(struct lapic *lapic, uint8_t vector, bool level)
{
    if (!(__atomic_load_n(reg_at(lapic, REG_SVR), __ATOMIC_RELAXED) & SVR_ENABLED) || vector < 16)
        return;
    if (level)
        __atomic_fetch_or(vector_reg(lapic, REG_TMR, vector), vector_bit(vector), __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(
                vector_reg(lapic, REG_TMR, vector), ~vector_bit(vector), __ATOMIC_RELAXED);
    __atomic_fetch_or(vector_reg(lapic, REG_IRR, vector), vector_bit(vector), __ATOMIC_RELEASE);
}

/* The highest vector set in one of the three 256-bit registers, -1 if none. */
static int highest(const struct lapic *lapic, uint32_t base)
{
    for (int word = 7; word >= 0; word--) {
        uint32_t bits =
                __atomic_load_n(reg_at(lapic, base + (uint32_t)word * 16), __ATOMIC_ACQUIRE);
        if (bits)
            return word * 32 + 31 - __builtin_clz(bits);
    }
    return -1;
}

static uint32_t processor_priority(const struct lapic *lapic)
{
    uint32_t tpr = *reg_at(lapic, REG_TPR) & 0xff;
    int in_service = highest(lapic, REG_ISR);
    uint32_t served = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;

    return (tpr & 0xf0) >= served ? tpr : served;
}

int lapic_pending(const struct lapic *lapic)
{
    int vector = highest(lapic, REG_IRR);

    if (vector < 0 || ((uint32_t)vector & 0xf0) <= (processor_priority(lapic) & 0xf0))
        return -1;
    return vector;
}

int lapic_take(struct lapic *lapic)
{
    int vector = lapic_pending(lapic);

    if (vector < 0)
        return -1;
    __atomic_fetch_and(vector_reg(lapic, REG_IRR, (uint8_t)vector), ~vector_bit((uint8_t)vector),
            __ATOMIC_RELAXED);
    *vector_reg(lapic, REG_ISR, (uint8_t)vector) |= vector_bit((uint8_t)vector);
    return vector;
}

static void end_of_interrupt(struct lapic *lapic)
{
    int vector = highest(lapic, REG_ISR);

    if (vector < 0)
        return;
    uint32_t bit = vector_bit((uint8_t)vector);
    *vector_reg(lapic, REG_ISR, (uint8_t)vector) &= ~bit;
    if (*vector_reg(lapic, REG_TMR, (uint8_t)vector) & bit)
        lapic->hooks.end_of_interrupt(lapic->hooks.data, (uint8_t)vector);
}

/* ---- timer: its clock has one tick in a nanosecond, before the divider ---- */

static uint64_t timer_divider(const struct lapic *lapic)
{
    uint32_t value = *reg_at(lapic, REG_TIMER_DIVIDE);
    uint32_t power = (value & 3) | (value >> 1 & 4);

    return power == 7 ? 1 : 2ULL << power;
}

static uint32_t timer_mode(const struct lapic *lapic)
{
    return TIMER_MODE(*reg_at(lapic, REG_LVT_TIMER));
}

static void start_count(struct lapic *lapic)
{
    uint64_t span = (uint64_t)*reg_at(lapic, REG_TIMER_COUNT) * timer_divider(lapic);

    lapic->timer_ns = span ? lapic->hooks.now(lapic->hooks.data) + span : 0;
    lapic->period_ns = timer_mode(lapic) == TIMER_PERIODIC ? span : 0;
}

static void start_deadline(struct lapic *lapic)
{
    uint64_t tsc = lapic->hooks.tsc(lapic->hooks.data);
    uint64_t left = lapic->tsc_deadline > tsc ? lapic->tsc_deadline - tsc : 0;

    if (!lapic->tsc_deadline) {
        lapic->timer_ns = 0;
        return;
    }
    /* 128 bits: a deadline far away is what a guest writes to mean "never" */
    __uint128_t ns = (__uint128_t)left * 1000000 / lapic->hooks.tsc_khz;
    uint64_t now = lapic->hooks.now(lapic->hooks.data);
    lapic->timer_ns = ns > UINT64_MAX - now ? UINT64_MAX : now + (uint64_t)ns;
}

static uint32_t current_count(struct lapic *lapic)
{
    uint64_t now = lapic->hooks.now(lapic->hooks.data);

    if (timer_mode(lapic) == TIMER_DEADLINE || lapic->timer_ns <= now)
        return 0;
    return (uint32_t)((lapic->timer_ns - now) / timer_divider(lapic));
}

void lapic_run_timer(struct lapic *lapic)
{
    uint32_t lvt = *reg_at(lapic, REG_LVT_TIMER);

    if (!lapic->timer_ns)
        return;
    uint64_t now = lapic->hooks.now(lapic->hooks.data);
    if (now < lapic->timer_ns)
        return;
    if (lapic->period_ns) /* ticks that were slept through are not made up for */
        lapic->timer_ns += ((now - lapic->timer_ns) / lapic->period_ns + 1) * lapic->period_ns;
    else
        lapic->timer_ns = lapic->tsc_deadline = 0;
    if (!(lvt & LVT_MASKED))
        lapic_accept(lapic, lvt & 0xff, false);
}

void lapic_resume(struct lapic *lapic)
{
    if (timer_mode(lapic) == TIMER_DEADLINE)
        start_deadline(lapic);
    else
        start_count(lapic);
}

/* ---- registers ---- */

static void send_ipi(struct lapic *lapic, uint32_t command, uint32_t destination)
{
    struct irq_message message = {
            .destination = destination,
            .logical = command & (1 << 11),
            .level = command & (1 << 15),
            .up = command & (1 << 14),
            .mode = (command >> 8) & 7,
            .vector = command & 0xff,
    };
    lapic->hooks.send(lapic->hooks.data, &message, (command >> 18) & 3);
}

static void write_lvt(struct lapic *lapic, uint32_t offset, uint32_t value)
{
    uint32_t old = *reg_at(lapic, offset);

    if (!(*reg_at(lapic, REG_SVR) & SVR_ENABLED))
        value |= LVT_MASKED;
    *reg_at(lapic, offset) = value & 0x7f7ff;
    if (offset == REG_LVT_TIMER && TIMER_MODE(old) != TIMER_MODE(value))
        lapic->timer_ns = lapic->period_ns = lapic->tsc_deadline = 0;
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
    *reg_at(lapic, REG_SVR) = value & 0x1ff;
    if (value & SVR_ENABLED)
        return;
    for (uint32_t offset = REG_LVT_TIMER; offset <= REG_LVT_LAST; offset += 16)
        *reg_at(lapic, offset) |= LVT_MASKED;
}

uint32_t lapic_read(struct lapic *lapic, uint32_t offset)
{
    if (offset >= LAPIC_PAGE || offset % 16)
        return 0;
    if (offset == REG_PPR)
        return processor_priority(lapic);
    if (offset == REG_TIMER_CURRENT)
        return current_count(lapic);
    return __atomic_load_n(reg_at(lapic, offset), __ATOMIC_RELAXED);
}

void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value)
{
    if (offset >= LAPIC_PAGE || offset % 16)
        return;
    switch (offset) {
    case REG_TPR:
        *reg_at(lapic, offset) = value & 0xff;
        break;
    case REG_EOI:
        end_of_interrupt(lapic);
        break;
    case REG_LDR:
        *reg_at(lapic, offset) = value & 0xff000000;
        break;
    case REG_DFR:
        *reg_at(lapic, offset) = value | 0x0fffffff;
        break;
    case REG_SVR:
        write_svr(lapic, value);
        break;
    case REG_ESR:
        *reg_at(lapic, offset) = 0;
        break;
    case REG_ICR:
        *reg_at(lapic, offset) = value & ~(1U << 12); /* delivered at once */
        send_ipi(lapic, value, *reg_at(lapic, REG_ICR_HIGH) >> 24);
        break;
    case REG_ICR_HIGH:
        *reg_at(lapic, offset) = value;
        break;
    case REG_TIMER_COUNT:
        *reg_at(lapic, offset) = value;
        if (timer_mode(lapic) != TIMER_DEADLINE)
            start_count(lapic);
        break;
    case REG_TIMER_DIVIDE:
        *reg_at(lapic, offset) = value & 0xb;
        break;
    default:
        if (offset >= REG_LVT_TIMER && offset <= REG_LVT_LAST)
            write_lvt(lapic, offset, value);
        break;
    }
}

/* ---- MSRs ---- */

static bool write_base(struct lapic *lapic, uint64_t value)
{
    uint64_t modes = LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC;
    uint32_t id = lapic_id(lapic);

    /* moving the page is not offered; x2APIC goes back only by being disabled */
    if ((value & ~(modes | LAPIC_BASE_BOOT)) != LAPIC_BASE)
        return false;
    if ((value & modes) == LAPIC_BASE_X2APIC ||
            (is_x2apic(lapic) && (value & modes) == LAPIC_BASE_ENABLED))
        return false;
    lapic->base = value;
    if (!(value & LAPIC_BASE_ENABLED))
        reset(lapic, id);
    set_id(lapic, id);
    return true;
}

bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *ret)
{
    if (msr == LAPIC_MSR_BASE) {
        *ret = lapic->base;
        return true;
    }
    if (msr == LAPIC_MSR_DEADLINE) {
        *ret = timer_mode(lapic) == TIMER_DEADLINE ? lapic->tsc_deadline : 0;
        return true;
    }

    uint32_t offset = (msr - LAPIC_MSR_X2APIC) << 4;
    if (!is_x2apic(lapic) || offset >= LAPIC_PAGE || offset == REG_DFR || offset == REG_ICR_HIGH)
        return false;
    *ret = lapic_read(lapic, offset);
    if (offset == REG_ICR)
        *ret |= (uint64_t)*reg_at(lapic, REG_ICR_HIGH) << 32;
    return true;
}

bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value)
{
    if (msr == LAPIC_MSR_BASE)
        return write_base(lapic, value);
    if (msr == LAPIC_MSR_DEADLINE) {
        if (timer_mode(lapic) != TIMER_DEADLINE)
            return true;
        lapic->tsc_deadline = value;
        start_deadline(lapic);
        return true;
    }

    uint32_t offset = (msr - LAPIC_MSR_X2APIC) << 4;
    if (!is_x2apic(lapic) || offset >= LAPIC_PAGE)
        return false;
    switch (offset) {
    case REG_ICR:
        *reg_at(lapic, REG_ICR_HIGH) = (uint32_t)(value >> 32);
        *reg_at(lapic, REG_ICR) = (uint32_t)value;
        send_ipi(lapic, (uint32_t)value, (uint32_t)(value >> 32));
        return true;
    case REG_SELF_IPI:
        lapic_accept(lapic, value & 0xff, false);
        return true;
    case REG_ID:
    case REG_VERSION:
    case REG_LDR:
    case REG_DFR:
    case REG_ICR_HIGH:
        return false; /* read-only, or not there */
    default:
        lapic_write(lapic, offset, (uint32_t)value);
        return true;
    }
}

uint64_t lapic_get_cr8(const struct lapic *lapic)
{
    return (*reg_at(lapic, REG_TPR) >> 4) & 0xf;
}

void lapic_set_cr8(struct lapic *lapic, uint64_t value)
{
    *reg_at(lapic, REG_TPR) = (uint32_t)(value & 0xf) << 4;
}
