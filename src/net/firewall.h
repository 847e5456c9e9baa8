/*
 * The rules of all networks: one table of our own, `inet vivarium`, written as nft(8) reads it and
 * loaded by the helper program viv-nft (libnftables has no static form, and is slow to start), each
 * change as one transaction. What a rule is about are elements of sets and maps, so that the chains
 * themselves never change.
 *
 *     chain administrator   empty, called first for all that is forwarded to or from a sandbox,
 * also through a published port: the administrator's rules. It is never changed from here. The port
 * that a client asked for is `ct original proto-dst`, since the address is the sandbox's by then.
 *     sets bridges, same, open, internal, nat4, nat6     what networks there are
 *     maps ports4, ports4_at, ports6, ports6_at          published ports
 */
#pragma once

#include "base/buf.h"
#include "net/lease.h"

/* The chains, without any network: added where they are missing, made anew where they are there. */
void firewall_base(struct buf *text);

/* The elements of a network, added or taken away. */
void firewall_network(const struct network *network, bool add, struct buf *text);

/* The elements of a lease's ports. Taking away what is not there is fine. Nothing is added to the
 * text when there are none. */
void firewall_ports(const struct net_lease *lease, bool add, struct buf *text);

/* Has viv-nft (its path) load a text. -EEXIST where an element stands in another's way. */
int firewall_load(const char *helper, const char *text, struct error *err);

/* Whether the table is there: 1, 0, or negative. Costs one message to the kernel. */
int firewall_is_loaded(struct error *err);
