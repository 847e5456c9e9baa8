/* resolv.conf(5): who is asked for names, read from text. */
#pragma once

#include "base/str.h"

#define RESOLVCONF_SERVERS_MAX 8

struct resolvconf {
    struct strv servers; /* addresses; an IPv6 one may have a zone, "fe80::1%eth0" */
    struct strv search;
    struct strv options;
};

/* Lines that say nothing known are left out. */
void resolvconf_parse(const char *text, struct arena *arena, struct resolvconf *ret);

/* The host's: without servers on its loopback, which nobody else reaches. Where that leaves none
 * and systemd-resolved is there, the servers that it asks. */
void resolvconf_host(struct arena *arena, struct resolvconf *ret);

/* The first server of a file that is on the IPv4 loopback: whoever reads the file in another
 * network namespace does not reach it. NULL: none. */
const char *resolvconf_loopback(const char *path, struct arena *arena);
