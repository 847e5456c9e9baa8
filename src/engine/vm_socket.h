/* The sockets in a machine's folder (VM_SOCKET, VM_CONTROL), whose path may be longer than a
 * socket's address: they are named through the folder's descriptor. */
#pragma once

#include <sys/un.h>

/* The address of a socket in the folder. */
struct sockaddr_un vm_socket_address(int dir_fd, const char *name);

/* Connects to it by a socket of that type; the descriptor is the caller's, or negative errno. */
int vm_socket_connect(int dir_fd, const char *name, int type);
