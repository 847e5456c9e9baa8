/* Processes and namespaces: making, joining, signalling, waiting. See door.h for the returns. */
#pragma once

#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>

/* clone3(2): 0 in the child, its pid in the parent. As fork(2): the child gets a copy of memory. */
pid_t sys_clone3(struct clone_args *args);

int sys_unshare(uint64_t flags);
int sys_setns(int fd, int nstype); /* fd: of a namespace, or a pidfd with several types */

int sys_pidfd_open(pid_t pid, unsigned flags);
int sys_pidfd_send_signal(int pidfd, int signal);

/* waitid(2) by pidfd (P_PIDFD) or pid (P_PID). */
int sys_waitid(idtype_t type, id_t id, siginfo_t *info, int options);

int sys_sethostname(const char *name);
int sys_setdomainname(const char *name);
int sys_setsid(void);
int sys_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int sys_execve(const char *path, char *const argv[], char *const envp[]);
int sys_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);
int sys_close_range(unsigned first, unsigned last, unsigned flags);

/* Both real, effective and saved ids at once, by the calls themselves: of this thread alone. */
int sys_setresuid(uid_t real, uid_t effective, uid_t saved);
int sys_setresgid(gid_t real, gid_t effective, gid_t saved);
int sys_setgroups(size_t count, const gid_t *groups);

/* When the process was started, in clock ticks since boot (proc_pid_stat(5)): with the pid it names
 * a process for good. -ESRCH when there is none, or only a zombie is left of it. */
int sys_process_start_time(pid_t pid, uint64_t *ret);
