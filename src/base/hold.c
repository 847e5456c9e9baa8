#include "base/hold.h"

#include <stddef.h>

enum { FREE, HELD, CAME };

static volatile sig_atomic_t states[_NSIG];

static void on_signal(int number)
{
    states[number] = CAME;
}

void hold_signals(const sigset_t *set)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    struct sigaction before;

    for (int number = 1; number < _NSIG; number++) {
        if (sigismember(set, number) <= 0 || sigaction(number, NULL, &before) < 0 ||
                before.sa_handler != SIG_DFL || states[number] != FREE)
            continue;
        states[number] = HELD;
        if (sigaction(number, &action, NULL) < 0)
            states[number] = FREE;
    }
}

void hold_end(void)
{
    for (int number = 1; number < _NSIG; number++) {
        if (states[number] == FREE)
            continue;
        signal(number, SIG_DFL);
        if (states[number] == CAME)
            raise(number);
        states[number] = FREE;
    }
}
