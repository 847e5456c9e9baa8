#include "vm/dev/ioapic.h"

#define ENTRY_VECTOR 0xffULL
#define ENTRY_STATUS (1ULL << 12)     /* read-only: delivery pending */
#define ENTRY_REMOTE_IRR (1ULL << 14) /* read-only: a level interrupt waits for its end */
#define ENTRY_LEVEL (1ULL << 15)
#define ENTRY_MASKED (1ULL << 16)
#define ENTRY_READ_ONLY (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE (0xff0000000001ffffULL & ~ENTRY_READ_ONLY)

#define VERSION 0x20U

enum { REGISTER_SELECT = 0x00, REGISTER_WINDOW = 0x10, REGISTER_EOI = 0x40 };
enum { INDEX_ID = 0, INDEX_VERSION = 1, INDEX_ARBITRATION = 2, INDEX_TABLE = 0x10 };

void ioapic_init(struct ioapic *ioapic)
{
    *ioapic = (struct ioapic){0};
    pthread_mutex_init(&ioapic->lock, NULL);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->state.entries[pin] = ENTRY_MASKED;
}

static void entry_message(uint64_t entry, uint64_t *ret_address, uint32_t *ret_data)
{
    uint64_t destination = entry >> 56;
    uint64_t logical = (entry >> 11) & 1;

    *ret_address = 0xfee00000U | destination << 12 | logical << 2;
    *ret_data = (uint32_t)(entry & (ENTRY_VECTOR | 7U << 8 | ENTRY_LEVEL)) |
                (entry & ENTRY_LEVEL ? 1U << 14 : 0);
}

/* With the lock held: sends what the pin has to say, if its entry lets it. */
static void service_pin(struct ioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->state.entries[pin];
    uint32_t bit = 1U << pin;
    uint64_t address;
    uint32_t data;

    if (*entry & ENTRY_MASKED)
        return;
    if (*entry & ENTRY_LEVEL) {
        if (!(ioapic->state.levels & bit) || *entry & ENTRY_REMOTE_IRR)
            return;
        *entry |= ENTRY_REMOTE_IRR;
    } else if (!(ioapic->state.pending & bit)) {
        return;
    }
    ioapic->state.pending &= ~bit;
    entry_message(*entry, &address, &data);
    ioapic->sink.deliver(ioapic->sink.data, address, data);
}

/* With the lock held. */
static void set_pin(struct ioapic *ioapic, unsigned pin, bool up)
{
    uint32_t bit = 1U << pin;

    if (up && !(ioapic->state.levels & bit))
        ioapic->state.pending |= bit;
    if (up)
        ioapic->state.levels |= bit;
    else
        ioapic->state.levels &= ~bit;
    service_pin(ioapic, pin);
}

void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool up)
{
    if (pin >= IOAPIC_PINS)
        return;
    pthread_mutex_lock(&ioapic->lock);
    set_pin(ioapic, pin, up);
    pthread_mutex_unlock(&ioapic->lock);
}

/* Up and down at once: an edge of another thread's between the two would be none. */
static void pulse_pin(void *chip, unsigned pin)
{
    struct ioapic *ioapic = chip;

    if (pin >= IOAPIC_PINS)
        return;
    pthread_mutex_lock(&ioapic->lock);
    set_pin(ioapic, pin, true);
    set_pin(ioapic, pin, false);
    pthread_mutex_unlock(&ioapic->lock);
}

struct irq_line ioapic_line(struct ioapic *ioapic, unsigned pin)
{
    return (struct irq_line){pulse_pin, ioapic, pin};
}

void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
    pthread_mutex_lock(&ioapic->lock);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &ioapic->state.entries[pin];
        if (!(*entry & ENTRY_LEVEL) || (*entry & ENTRY_VECTOR) != vector)
            continue;
        *entry &= ~ENTRY_REMOTE_IRR;
        service_pin(ioapic, pin);
    }
    pthread_mutex_unlock(&ioapic->lock);
}

bool ioapic_message(struct ioapic *ioapic, unsigned pin, uint64_t *ret_address, uint32_t *ret_data)
{
    pthread_mutex_lock(&ioapic->lock);
    uint64_t entry = ioapic->state.entries[pin % IOAPIC_PINS];
    pthread_mutex_unlock(&ioapic->lock);

    entry_message(entry, ret_address, ret_data);
    return !(entry & ENTRY_MASKED);
}

static uint32_t read_window(const struct ioapic_state *state)
{
    unsigned index = state->select;

    if (index == INDEX_ID || index == INDEX_ARBITRATION)
        return state->id;
    if (index == INDEX_VERSION)
        return VERSION | (IOAPIC_PINS - 1) << 16;
    if (index >= INDEX_TABLE && index < INDEX_TABLE + 2 * IOAPIC_PINS) {
        uint64_t entry = state->entries[(index - INDEX_TABLE) / 2];
        return (uint32_t)(index % 2 ? entry >> 32 : entry);
    }
    return 0;
}

/* True when an entry changed. */
static bool write_window(struct ioapic *ioapic, uint32_t value)
{
    unsigned index = ioapic->state.select;

    if (index == INDEX_ID)
        ioapic->state.id = value & 0x0f000000;
    if (index < INDEX_TABLE || index >= INDEX_TABLE + 2 * IOAPIC_PINS)
        return false;

    unsigned pin = (index - INDEX_TABLE) / 2;
    uint64_t *entry = &ioapic->state.entries[pin];
    uint64_t wanted = index % 2 ? (*entry & UINT32_MAX) | (uint64_t)value << 32
                                : (*entry & ~(uint64_t)UINT32_MAX) | value;
    *entry = (wanted & ENTRY_WRITABLE) | (*entry & ENTRY_READ_ONLY);
    if (!(*entry & ENTRY_LEVEL))
        *entry &= ~ENTRY_REMOTE_IRR; /* that is how Linux clears a stuck one */
    service_pin(ioapic, pin);
    return true;
}

static uint64_t ioapic_bus_read(void *device, uint64_t offset, unsigned size)
{
    struct ioapic *ioapic = device;
    uint32_t value = 0;

    (void)size;
    pthread_mutex_lock(&ioapic->lock);
    if (offset == REGISTER_SELECT)
        value = ioapic->state.select;
    else if (offset == REGISTER_WINDOW)
        value = read_window(&ioapic->state);
    pthread_mutex_unlock(&ioapic->lock);
    return value;
}

static void ioapic_bus_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *ioapic = device;
    bool changed = false;

    (void)size;
    if (offset == REGISTER_EOI) {
        ioapic_end_of_interrupt(ioapic, (uint8_t)value);
        return;
    }
    pthread_mutex_lock(&ioapic->lock);
    if (offset == REGISTER_SELECT)
        ioapic->state.select = value & 0xff;
    else if (offset == REGISTER_WINDOW)
        changed = write_window(ioapic, (uint32_t)value);
    pthread_mutex_unlock(&ioapic->lock);
    if (changed && ioapic->on_change)
        ioapic->on_change(ioapic->on_change_data);
}

const struct bus_ops ioapic_bus_ops = {"ioapic", ioapic_bus_read, ioapic_bus_write};

void ioapic_get_state(struct ioapic *ioapic, struct ioapic_state *ret)
{
    pthread_mutex_lock(&ioapic->lock);
    *ret = ioapic->state;
    pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_set_state(struct ioapic *ioapic, const struct ioapic_state *state)
{
    pthread_mutex_lock(&ioapic->lock);
    ioapic->state = *state;
    pthread_mutex_unlock(&ioapic->lock);
    if (ioapic->on_change)
        ioapic->on_change(ioapic->on_change_data);
}
