#include "sys/tty.h"

#include <sys/ioctl.h>

int sys_tty_raw(int fd, struct sys_tty_saved *saved, struct error *err)
{
    struct termios raw;

    saved->fd = -1;
    if (tcgetattr(fd, &saved->settings) < 0)
        return error_sys(err, errno, "read the terminal's settings");
    raw = saved->settings;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSANOW, &raw) < 0)
        return error_sys(err, errno, "put the terminal into raw mode");
    saved->fd = fd;
    return 0;
}

void sys_tty_restore(struct sys_tty_saved *saved)
{
    if (saved->fd < 0)
        return;
    tcsetattr(saved->fd, TCSANOW, &saved->settings);
    saved->fd = -1;
}

void sys_tty_copy_size(int from, int to)
{
    struct winsize size;

    if (ioctl(from, TIOCGWINSZ, &size) == 0)
        ioctl(to, TIOCSWINSZ, &size);
}
