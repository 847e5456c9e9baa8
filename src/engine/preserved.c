#include "engine/preserved.h"

#include <fcntl.h>

#include "sys/process.h"

#define FIRST 3

int preserved_check(unsigned count, struct error *err)
{
    for (unsigned fd = FIRST; fd < FIRST + count; fd++)
        if (fcntl((int)fd, F_GETFD) < 0)
            return error_set(err, EBADF,
                    "--preserve-fds %u: descriptor %u is not open; those from 3 on are passed on",
                    count, fd);
    return 0;
}

void preserved_close(unsigned count)
{
    if (count)
        sys_close_range(FIRST, FIRST + count - 1, 0);
}
