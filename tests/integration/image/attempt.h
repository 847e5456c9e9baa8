/*
 * What programs that are put into a cage by tests try there: each returns 0 where it worked, or the
 * errno by which it was refused.
 */
#pragma once

/* Of a call's result, right behind the call. */
int attempt_why(long result);

int attempt_open(const char *path, int flags);
int attempt_fork(void);
