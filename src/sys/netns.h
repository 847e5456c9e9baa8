/*
 * Another network namespace for a few calls: what is opened there (netlink sockets, taps) stays
 * there, and the caller goes back. Moves the calling thread alone.
 */
#pragma once

/* Enters the namespace of a descriptor, and opens the own one to come back to. 0 or -errno. */
int sys_netns_enter(int namespace_fd, int *ret_own);

/* Goes back and closes `*own`; nothing when it is -1. 0 or -errno. */
int sys_netns_leave(int *own);

/* A NETLINK_ROUTE socket in that namespace, as netlink_open(). */
int sys_netns_netlink(int namespace_fd);
