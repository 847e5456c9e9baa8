#include "vm/console_input.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"

static void on_input(struct loop *loop, int fd, uint32_t events, void *data);

static void listen_again(struct console_input *input)
{
    if (input->source || input->fd < 0 || serial_room(input->serial) == 0)
        return;
    int r = loop_add_fd(input->loop, input->fd, EPOLLIN, on_input, input, &input->source);
    if (r == -EPERM) /* a plain file cannot be listened to, and is always ready */
        on_input(input->loop, input->fd, EPOLLIN, input);
    else if (r < 0)
        input->fd = -1;
}

static void stop_listening(struct console_input *input)
{
    loop_remove(input->source);
    input->source = NULL;
}

static void on_input(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct console_input *input = data;
    uint8_t bytes[SERIAL_FIFO];
    size_t room = serial_room(input->serial);

    (void)loop;
    (void)events;
    if (room > 0) {
        ssize_t n = read(fd, bytes, room);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            stop_listening(input);
            input->fd = -1; /* its end */
            return;
        }
        if (n > 0)
            serial_put(input->serial, bytes, (size_t)n);
    }
    if (input->source && serial_room(input->serial) == 0) {
        stop_listening(input);
        listen_again(input); /* the guest may have read in between */
    }
}

/* On a vCPU's thread. */
static void on_guest_read(void *data)
{
    struct console_input *input = data;

    (void)eventfd_write(input->room_fd, 1);
}

static void on_room(struct loop *loop, int fd, uint32_t events, void *data)
{
    eventfd_t count;

    (void)loop;
    (void)events;
    (void)eventfd_read(fd, &count);
    listen_again(data);
}

void console_input_init(
        struct console_input *input, struct loop *loop, int fd, struct serial *serial)
{
    *input = (struct console_input){.loop = loop, .serial = serial, .fd = fd};
    input->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (input->room_fd < 0 ||
            loop_add_fd(loop, input->room_fd, EPOLLIN, on_room, input, &input->waiting) < 0)
        return;
    serial->on_room = on_guest_read;
    serial->on_room_data = input;
    listen_again(input);
}

void console_input_free(struct console_input *input)
{
    if (!input->loop)
        return;
    stop_listening(input);
    loop_remove(input->waiting);
    cleanup_close(&input->room_fd);
}
