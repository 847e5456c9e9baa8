#include "vm/dev/serial.h"

#include "base/io.h"

enum { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX 0x01
#define IER_TX 0x02
#define IIR_NONE 0x01
#define IIR_TX 0x02
#define IIR_RX 0x04
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define LCR_DIVISOR 0x80
#define LSR_DATA 0x01
#define LSR_TX_EMPTY 0x60
#define MCR_LOOP 0x10
#define MSR_READY 0xb0 /* carrier, data set ready, clear to send */

void serial_init(struct serial *serial, struct irq_line irq, int output)
{
    *serial = (struct serial){.irq = irq, .output = output};
    pthread_mutex_init(&serial->lock, NULL);
}

static uint8_t cause(const struct serial_state *state)
{
    if (state->ier & IER_RX && state->count)
        return IIR_RX;
    if (state->ier & IER_TX && state->tx_interrupt)
        return IIR_TX;
    return IIR_NONE;
}

/* With the lock held, after each change. */
static void update_irq(struct serial *serial)
{
    bool pending = cause(&serial->state) != IIR_NONE;

    if (pending && !serial->was_pending)
        irq_pulse(&serial->irq);
    serial->was_pending = pending;
}

static bool put_byte(struct serial_state *state, uint8_t byte)
{
    if (state->count >= SERIAL_FIFO)
        return false;
    state->fifo[(state->first + state->count++) % SERIAL_FIFO] = byte;
    return true;
}

size_t serial_put(struct serial *serial, const uint8_t *data, size_t length)
{
    size_t done = 0;

    pthread_mutex_lock(&serial->lock);
    while (done < length && put_byte(&serial->state, data[done]))
        done++;
    update_irq(serial);
    pthread_mutex_unlock(&serial->lock);
    return done;
}

size_t serial_room(struct serial *serial)
{
    pthread_mutex_lock(&serial->lock);
    size_t room = SERIAL_FIFO - serial->state.count;
    pthread_mutex_unlock(&serial->lock);
    return room;
}

static uint8_t take_byte(struct serial_state *state)
{
    if (!state->count)
        return 0;
    uint8_t byte = state->fifo[state->first % SERIAL_FIFO];
    state->first = (state->first + 1) % SERIAL_FIFO;
    state->count--;
    return byte;
}

static uint8_t read_iir(struct serial_state *state)
{
    uint8_t value = cause(state);

    if (value == IIR_TX)
        state->tx_interrupt = 0; /* reading it is the acknowledgement */
    return value | (state->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_msr(const struct serial_state *state)
{
    if (!(state->mcr & MCR_LOOP))
        return MSR_READY;
    /* looped back: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD */
    return (uint8_t)((state->mcr & 0x0c) << 4 | (state->mcr & 0x02) << 3 |
                     (state->mcr & 0x01) << 5);
}

static uint8_t read_register(struct serial_state *state, uint64_t reg)
{
    bool divisor = state->lcr & LCR_DIVISOR;

    switch (reg) {
    case REG_DATA:
        return divisor ? state->dll : take_byte(state);
    case REG_IER:
        return divisor ? state->dlm : state->ier;
    case REG_IIR:
        return read_iir(state);
    case REG_LCR:
        return state->lcr;
    case REG_MCR:
        return state->mcr;
    case REG_LSR:
        return LSR_TX_EMPTY | (state->count ? LSR_DATA : 0);
    case REG_MSR:
        return read_msr(state);
    default:
        return state->scr;
    }
}

static uint64_t serial_read(void *device, uint64_t offset, unsigned size)
{
    struct serial *serial = device;

    (void)size;
    pthread_mutex_lock(&serial->lock);
    bool had_input = serial->state.count;
    uint8_t value = read_register(&serial->state, offset);
    bool emptied = had_input && !serial->state.count;
    update_irq(serial);
    pthread_mutex_unlock(&serial->lock);
    if (emptied && serial->on_room)
        serial->on_room(serial->on_room_data);
    return value;
}

static void write_data(struct serial *serial, uint8_t byte)
{
    struct serial_state *state = &serial->state;

    if (state->mcr & MCR_LOOP)
        put_byte(state, byte);
    else if (serial->output >= 0)
        (void)io_write_all(serial->output, &byte, 1); /* a reader that has gone loses it */
    state->tx_interrupt = 1;
    serial->was_pending = false; /* each byte sent is a new cause */
}

static void write_register(struct serial *serial, uint64_t reg, uint8_t value)
{
    struct serial_state *state = &serial->state;
    bool divisor = state->lcr & LCR_DIVISOR;

    switch (reg) {
    case REG_DATA:
        if (divisor)
            state->dll = value;
        else
            write_data(serial, value);
        break;
    case REG_IER:
        if (divisor) {
            state->dlm = value;
            break;
        }
        if (value & IER_TX) {
            state->tx_interrupt = 1; /* the transmitter is empty: told at once */
            serial->was_pending = false;
        }
        state->ier = value & 0x0f;
        break;
    case REG_IIR:
        if (value & FCR_CLEAR_RX)
            state->count = 0;
        state->fcr = value;
        break;
    case REG_LCR:
        state->lcr = value;
        break;
    case REG_MCR:
        state->mcr = value & 0x1f;
        break;
    case REG_SCR:
        state->scr = value;
        break;
    default:
        break; /* the status registers are read-only */
    }
}

static void serial_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    struct serial *serial = device;

    (void)size;
    pthread_mutex_lock(&serial->lock);
    write_register(serial, offset, (uint8_t)value);
    update_irq(serial);
    pthread_mutex_unlock(&serial->lock);
}

const struct bus_ops serial_bus_ops = {"serial port", serial_read, serial_write};

void serial_get_state(struct serial *serial, struct serial_state *ret)
{
    pthread_mutex_lock(&serial->lock);
    *ret = serial->state;
    pthread_mutex_unlock(&serial->lock);
}

void serial_set_state(struct serial *serial, const struct serial_state *state)
{
    pthread_mutex_lock(&serial->lock);
    serial->state = *state;
    if (serial->state.count > SERIAL_FIFO)
        serial->state.count = 0;
    serial->was_pending = false;
    update_irq(serial);
    pthread_mutex_unlock(&serial->lock);
}
