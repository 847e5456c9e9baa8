#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void set_text(struct error *err, int errnum, const char *format, va_list args)
{
    err->errnum = errnum;
    err->exit_status = 0;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

int error_set(struct error *err, int errnum, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_text(err, errnum, format, args);
        va_end(args);
    }
    return -errnum;
}

int error_sys(struct error *err, int errnum, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_text(err, errnum, format, args);
        va_end(args);
        error_append(err, ": %s: %s", error_name(errnum), strerror(errnum));
    }
    return -errnum;
}

int error_sys_hint(struct error *err, int errnum, const char *hint, const char *format, ...)
{
    va_list args;

    if (err) {
        va_start(args, format);
        set_text(err, errnum, format, args);
        va_end(args);
        error_append(err, ": %s: %s", error_name(errnum), strerror(errnum));
        if (hint && *hint)
            error_append(err, "; %s", hint);
    }
    return -errnum;
}

const char *error_room(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT
                   ? "the file system is full: make room there, then try again"
                   : NULL;
}

int error_prefix(struct error *err, const char *format, ...)
{
    char context[ERROR_TEXT_MAX / 2];
    char rest[ERROR_TEXT_MAX];
    va_list args;

    if (!err)
        return -EINVAL;
    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    memcpy(rest, err->text, sizeof(rest));
    int length = snprintf(err->text, sizeof(err->text), "%s: ", context);
    snprintf(err->text + length, sizeof(err->text) - (size_t)length, "%s", rest);
    return -err->errnum;
}

int error_append(struct error *err, const char *format, ...)
{
    if (!err)
        return -EINVAL;
    size_t used = strnlen(err->text, sizeof(err->text) - 1);
    va_list args;
    va_start(args, format);
    vsnprintf(err->text + used, sizeof(err->text) - used, format, args);
    va_end(args);
    return -err->errnum;
}

const char *error_name(int errnum)
{
    static _Thread_local char number[32];
    const char *name = strerrorname_np(errnum);

    if (name)
        return name;
    snprintf(number, sizeof(number), "errno %d", errnum);
    return number;
}
