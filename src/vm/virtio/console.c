#include "vm/virtio/console.h"

#include <linux/virtio_console.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"

#define QUEUE_SIZE 64
enum { QUEUE_INPUT, QUEUE_OUTPUT, QUEUES };

struct console {
    struct virtio_device device;
    struct virtio_console_config config;
    int input, output;
    struct loop_source *source; /* while there are buffers for input */
    struct virtq_chain chain;
};

static void on_input(struct loop *loop, int fd, uint32_t events, void *data);

/* Listens to the input while the guest has buffers for it. */
static void listen_if_room(struct console *console)
{
    struct virtq *queue = &console->device.queues[QUEUE_INPUT];

    virtq_want_notify(queue, true);
    if (console->input < 0 || console->source || !virtq_has_next(queue))
        return;
    if (loop_add_fd(console->device.loop, console->input, EPOLLIN, on_input, console,
                &console->source) < 0)
        console->input = -1; /* a plain file cannot be listened to: no input then */
}

static void stop_listening(struct console *console)
{
    loop_remove(console->source);
    console->source = NULL;
}

/* Fills one buffer. False when there is no more to be had now. */
static bool read_input(struct console *console)
{
    struct virtio_device *device = &console->device;
    struct virtq *queue = &device->queues[QUEUE_INPUT];
    int r = virtq_next(queue, &console->chain);

    if (r < 0)
        virtio_break(device);
    if (r <= 0)
        return false;
    if (console->chain.writable == 0) {
        virtio_break(device);
        return false;
    }
    ssize_t n = readv(console->input, &console->chain.segments[console->chain.readable],
            (int)console->chain.writable);
    if (n <= 0) {
        virtq_unget(queue);
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            console->input = -1; /* its end */
        return false;
    }
    virtq_push(queue, &console->chain, (uint64_t)n);
    return true;
}

static void on_input(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct console *console = data;

    (void)loop;
    (void)fd;
    (void)events;
    pthread_mutex_lock(&console->device.lock);
    if (virtio_is_live(&console->device) && console->input >= 0) {
        if (read_input(console))
            virtio_signal(&console->device, &console->device.queues[QUEUE_INPUT]);
        if (!virtq_has_next(&console->device.queues[QUEUE_INPUT]) || console->input < 0)
            stop_listening(console);
        if (virtio_is_live(&console->device))
            listen_if_room(console);
    } else {
        stop_listening(console);
    }
    pthread_mutex_unlock(&console->device.lock);
}

static uint64_t write_output(struct virtio_device *device, struct virtq_chain *chain)
{
    struct console *console = device->owner;

    for (unsigned i = 0; i < chain->readable && console->output >= 0; i++)
        if (io_write_all(console->output, chain->segments[i].iov_base, chain->segments[i].iov_len) <
                0)
            console->output = -1; /* nobody reads any more */
    return 0;
}

static void console_notify(struct virtio_device *device, unsigned queue)
{
    struct console *console = device->owner;

    if (queue == QUEUE_OUTPUT)
        virtio_serve_queue(device, queue, &console->chain, write_output);
    else
        listen_if_room(console);
}

static const struct virtio_ops console_ops = {
        .name = "virtio-console",
        .id = VIRTIO_CONSOLE,
        .queues = QUEUES,
        .queue_size = QUEUE_SIZE,
        .notify = console_notify,
};

int console_new(const struct virtio_place *place, const struct console_config *config,
        struct console **ret, struct error *err)
{
    struct console *console = calloc(1, sizeof(*console));

    if (!console)
        return error_set(err, ENOMEM, "out of memory");
    console->input = config->input;
    console->output = config->output;
    console->config.cols = config->columns;
    console->config.rows = config->rows;
    int r = virtio_init(&console->device, &console_ops, console, place,
            1ULL << VIRTIO_CONSOLE_F_SIZE, &console->config, sizeof(console->config), err);
    if (r < 0) {
        console_free(console);
        return r;
    }
    *ret = console;
    return 0;
}

void console_free(struct console *console)
{
    stop_listening(console);
    virtio_fini(&console->device);
    free(console);
}

struct virtio_device *console_device(struct console *console)
{
    return &console->device;
}

void console_resize(struct console *console, uint16_t columns, uint16_t rows)
{
    pthread_mutex_lock(&console->device.lock);
    console->config.cols = columns;
    console->config.rows = rows;
    virtio_config_changed(&console->device);
    pthread_mutex_unlock(&console->device.lock);
}
