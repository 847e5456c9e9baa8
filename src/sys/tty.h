/* Terminals: raw mode and back, window sizes. */
#pragma once

#include <termios.h>

#include "base/error.h"

/* A terminal's settings as they were, to be restored whatever happens. */
struct sys_tty_saved {
    int fd; /* -1: nothing was changed */
    struct termios settings;
};

/* Puts the terminal into raw mode; output processing stays off too. */
int sys_tty_raw(int fd, struct sys_tty_saved *saved, struct error *err);

/* Puts it back. Safe in a signal handler, and twice. */
void sys_tty_restore(struct sys_tty_saved *saved);

/* Copies the window size of one terminal to another; quietly does nothing where one is none. */
void sys_tty_copy_size(int from, int to);
