/*
 * Route netlink, rtnetlink(7): requests built attribute by attribute in a fixed buffer, sent, and
 * their answer read. One socket belongs to one network namespace, that of the thread when it was
 * opened. Not for several threads at once.
 */
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define NETLINK_REQUEST_MAX 4096

/* Size of an attribute's header, and of a payload with its padding. */
#define NETLINK_ATTRIBUTE sizeof(struct nlattr)
#define NETLINK_PADDED(size) (((size) + 3) & ~(size_t)3)

struct netlink_request {
    _Alignas(struct nlmsghdr) char bytes[NETLINK_REQUEST_MAX];
    bool overflow; /* more was added than fits; sending then fails with -EMSGSIZE */
};

/* A NETLINK_ROUTE socket in the current network namespace, close-on-exec; or -errno. */
int netlink_open(void);

/* As netlink_open, of another kind: NETLINK_NETFILTER … */
int netlink_open_kind(int protocol);

/* Starts a request: its type (RTM_NEWLINK …), extra flags (NLM_F_CREATE …) and its fixed header
 * (struct ifinfomsg, ifaddrmsg …). */
void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
        const void *header, size_t size);

/* Adds an attribute. */
void netlink_add(struct netlink_request *request, uint16_t type, const void *data, size_t size);
void netlink_add_u32(struct netlink_request *request, uint16_t type, uint32_t value);
void netlink_add_str(struct netlink_request *request, uint16_t type, const char *text);

/* Adds bytes as they are: a fixed header inside a nest (the peer of a veth). */
void netlink_add_raw(struct netlink_request *request, const void *data, size_t size);

/* Nested attributes: what is added between the two belongs to it. */
struct nlattr *netlink_nest(struct netlink_request *request, uint16_t type);
void netlink_nest_end(struct netlink_request *request, struct nlattr *nest);

/* Sends and waits for the acknowledgement: 0 or the kernel's -errno. */
int netlink_send(int sock, struct netlink_request *request);

/* Called for each message of an answer; a return other than 0 ends the calls and is returned. */
typedef int (*netlink_each_fn)(void *data, const struct nlmsghdr *message);

/* Sends a request for one object or a list (NLM_F_DUMP in its flags) and hands on each message. */
int netlink_ask(int sock, struct netlink_request *request, netlink_each_fn fn, void *data);

/* The attribute of a message, behind a fixed header of `size` bytes; NULL when absent. Checked
 * against the message's length. */
const struct nlattr *netlink_find(const struct nlmsghdr *message, size_t size, uint16_t type);
static inline const void *netlink_data(const struct nlattr *attribute)
{
    return (const char *)attribute + NETLINK_ATTRIBUTE;
}
static inline size_t netlink_size(const struct nlattr *attribute)
{
    return attribute->nla_len - NETLINK_ATTRIBUTE;
}
