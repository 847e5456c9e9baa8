/*
 * Readiness (sd_notify(3)) out of a container: a datagram socket in the sandbox's folder, of which
 * the container sees nothing but that folder, mounted read-only. Whoever starts the container
 * listens there and tells the one who waits that the workload is ready.
 *
 * Used by the programs that start containers for a service manager.
 */
#pragma once

#include "plan/plan.h"
#include "spec/spec.h"

/* Where the container finds the socket. */
#define CONTAINER_NOTIFY_DIR "/run/notify"

/* Gives the workload the variable and the mount; `folder` is the sandbox's own, as a path. */
void container_notify_into_spec(struct arena *arena, struct spec *spec, const char *folder);

/* Appends the host step that makes the folder which is mounted; before bind sources are opened. */
void container_notify_step(struct plan *plan, int dir_fd);

/* Whether the container was made so. */
bool container_notify_is_wanted(int dir_fd);

/* Makes the socket. It must be there before the workload runs. */
int container_notify_listen(int dir_fd, int *ret_sock, struct error *err);

/*
 * Waits until the workload says that it is ready, then says so at `to`, the socket that a service
 * manager named ("/path" or "@abstract"), with `main_pid` as MAINPID unless that is 0. Nothing else
 * of what the workload writes goes on. Returns 0 as well when the process of `pidfd` ends before.
 */
int container_notify_pass_on(
        int sock, int pidfd, pid_t main_pid, const char *to, struct error *err);
