/* Descriptors of ours that go on to a workload: --preserve-fds, from 3 on. */
#pragma once

#include "base/error.h"

/* Whether so many are open. To be asked before anything else is opened. -EBADF. */
int preserved_check(unsigned count, struct error *err);

/* The workload has them: who watches it keeps none, so that their other ends see it end. */
void preserved_close(unsigned count);
