#include "engine/preserved.h"

#include <fcntl.h>

#include "sys/process.h"

#define FIRST 3

int preserved_check(unsigned count, struct error *err)
{
    for (unsigned i = 0; i < count; i++)
        if (fcntl(FIRST + (int)i, F_GETFD) < 0)
            return error_set(err, EBADF,
                    "--preserve-fds %u: descriptor %d is not open; those from 3 on are passed on",
                    count, FIRST + (int)i);
    return 0;
}

void preserved_close(unsigned count)
{
    if (count)
        sys_close_range(FIRST, FIRST + count - 1, 0);
}
