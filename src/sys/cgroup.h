/* Writes to the files of control groups, through the door. See door.h for the returns. */
#pragma once

/* One write(2) to an existing file; calls: openat, write. */
int sys_cgroup_write(const char *path, const char *text);

/* open(2) of a cgroup's file or directory, close-on-exec. */
int sys_cgroup_open(const char *path, int flags);

/* write(2) of the text to a cgroup's open file. */
int sys_cgroup_write_fd(int fd, const char *text);

int sys_cgroup_rmdir(const char *path);
