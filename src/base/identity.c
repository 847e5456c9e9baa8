#include "base/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

bool identity_of(int fd, char text[IDENTITY_SIZE])
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return false;
    snprintf(text, IDENTITY_SIZE, "%" PRIu64 ":%" PRIu64 ":%" PRId64 ".%09ld",
            (uint64_t)status.st_ino, (uint64_t)status.st_size, (int64_t)status.st_ctim.tv_sec,
            status.st_ctim.tv_nsec);
    return true;
}
