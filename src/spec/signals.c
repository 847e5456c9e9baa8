#include "spec/signals.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"

/* glibc keeps 32 and 33 for itself. */
#define RT_FIRST 34
#define RT_LAST 64

struct signal_row {
    const char *name;
    int number;
};

/* signal(7). The first name of a number is the one that is shown. */
static const struct signal_row signals[] = {
        {"HUP", SIGHUP},
        {"INT", SIGINT},
        {"QUIT", SIGQUIT},
        {"ILL", SIGILL},
        {"TRAP", SIGTRAP},
        {"ABRT", SIGABRT},
        {"IOT", SIGIOT},
        {"BUS", SIGBUS},
        {"FPE", SIGFPE},
        {"KILL", SIGKILL},
        {"USR1", SIGUSR1},
        {"SEGV", SIGSEGV},
        {"USR2", SIGUSR2},
        {"PIPE", SIGPIPE},
        {"ALRM", SIGALRM},
        {"TERM", SIGTERM},
        {"STKFLT", SIGSTKFLT},
        {"CHLD", SIGCHLD},
        {"CLD", SIGCHLD},
        {"CONT", SIGCONT},
        {"STOP", SIGSTOP},
        {"TSTP", SIGTSTP},
        {"TTIN", SIGTTIN},
        {"TTOU", SIGTTOU},
        {"URG", SIGURG},
        {"XCPU", SIGXCPU},
        {"XFSZ", SIGXFSZ},
        {"VTALRM", SIGVTALRM},
        {"PROF", SIGPROF},
        {"WINCH", SIGWINCH},
        {"IO", SIGIO},
        {"POLL", SIGPOLL},
        {"PWR", SIGPWR},
        {"SYS", SIGSYS},
        {"RTMIN", RT_FIRST},
        {"RTMAX", RT_LAST},
};

static int find_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (strcasecmp(signals[i].name, name) == 0)
            return signals[i].number;
    return -1;
}

/* "RTMIN+3", "RTMAX-2" */
static int find_real_time(const char *name)
{
    uint32_t offset;
    bool from_max = strncasecmp(name, "RTMAX-", 6) == 0;

    if (!from_max && strncasecmp(name, "RTMIN+", 6) != 0)
        return -1;
    if (str_to_u32(name + 6, &offset) < 0 || offset > RT_LAST - RT_FIRST)
        return -1;
    return from_max ? RT_LAST - (int)offset : RT_FIRST + (int)offset;
}

static int unknown_signal(const char *text, const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(signals)];

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        names[i] = signals[i].name;
    const char *closest = str_closest(name, names, ARRAY_SIZE(signals));
    if (closest)
        return error_set(
                err, EINVAL, "unknown signal \"%.64s\"; did you mean \"SIG%s\"?", text, closest);
    return error_set(err, EINVAL,
            "unknown signal \"%.64s\": write a name such as SIGTERM or a number from 1 to %d", text,
            SIGNALS_MAX);
}

int signal_parse(const char *text, int *ret, struct error *err)
{
    int number;

    if (str_to_int(text, &number) == 0) {
        if (number < 1 || number > SIGNALS_MAX)
            return error_set(err, EINVAL, "signal %d does not exist: write a number from 1 to %d",
                    number, SIGNALS_MAX);
        *ret = number;
        return 0;
    }
    const char *name = text && strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    if (str_empty(name))
        return error_set(err, EINVAL,
                "no signal given: write a name such as SIGTERM or a number from 1 to %d",
                SIGNALS_MAX);
    number = find_name(name);
    if (number < 0)
        number = find_real_time(name);
    if (number < 0)
        return unknown_signal(text, name, err);
    *ret = number;
    return 0;
}

const char *signal_name(int number)
{
    static _Thread_local char text[32];

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (signals[i].number == number) {
            snprintf(text, sizeof(text), "SIG%s", signals[i].name);
            return text;
        }
    if (number > RT_FIRST && number < RT_LAST)
        snprintf(text, sizeof(text), "SIGRTMIN+%d", number - RT_FIRST);
    else
        snprintf(text, sizeof(text), "signal %d", number);
    return text;
}
