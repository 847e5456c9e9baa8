/* The reader of /etc/passwd, /etc/group and --user: whatever the three say, nobody gets the id that
 * means "none", and a number without an entry stays itself. Input: spec NUL passwd NUL group. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "security/passwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    char *copy = arena_alloc(&arena, size + 3);
    struct passwd_user user;
    uint32_t number;

    memcpy(copy, data, size);
    const char *spec = copy;
    const char *passwd = spec + strlen(spec) + 1;
    if (passwd > copy + size)
        passwd = copy + size;
    const char *group = passwd + strlen(passwd) + 1;
    if (group > copy + size)
        group = copy + size;
    if (passwd_parse(passwd, group, spec, &arena, &user, NULL) < 0)
        return 0;
    if (user.uid == UINT32_MAX || user.gid == UINT32_MAX || !user.home || *user.home != '/')
        abort();
    if (str_to_u32(spec, &number) == 0 && user.uid != number)
        abort();
    return 0;
}
