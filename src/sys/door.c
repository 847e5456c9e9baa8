#include "sys/door.h"

#include <string.h>

struct sys_door sys_door;

long sys_door_ask(const char *call)
{
    if (strcmp(call, sys_door.refuse_call) != 0)
        return 0;
    if (sys_door.refuse_after > 0) {
        sys_door.refuse_after--;
        return 0;
    }
    return -sys_door.refuse_errnum;
}
