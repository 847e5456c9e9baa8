#include "cli/stopping.h"

#include "spec/signals.h"

#define SECONDS_MAX 86400

int stopping_read(const struct opt_i64 *seconds, const char *signal, struct engine_stopping *ret,
        struct error *err)
{
    struct engine_stopping stopping = {.timeout_s = -1};

    if (seconds->set && (seconds->value < 0 || seconds->value > SECONDS_MAX))
        return error_set(err, EINVAL, "--time %lld: seconds from 0 to %d are wanted",
                (long long)seconds->value, SECONDS_MAX);
    if (seconds->set)
        stopping.timeout_s = (int)seconds->value;
    if (signal && signal_parse(signal, &stopping.signal, err) < 0)
        return -EINVAL;
    *ret = stopping;
    return 0;
}
