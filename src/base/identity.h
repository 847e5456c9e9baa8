/* Which file it is, and whether it is as it was when somebody looked at all of it. */
#pragma once

#include <stdbool.h>

#define IDENTITY_SIZE 128

/*
 * What tells a file from every other of its file system, and from itself after any change: nothing
 * changes a file without its change time, which nobody can set. False when it cannot be asked.
 */
bool identity_of(int fd, char text[IDENTITY_SIZE]);
