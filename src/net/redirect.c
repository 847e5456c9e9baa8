#include "net/redirect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

#include "sys/netlink.h"

#define INGRESS_HANDLE 0xffff0000u

static struct tcmsg ingress_of(int index)
{
    return (struct tcmsg){
            .tcm_ifindex = index, .tcm_parent = TC_H_INGRESS, .tcm_handle = INGRESS_HANDLE};
}

static struct tcmsg filter_of(int index, uint32_t priority)
{
    return (struct tcmsg){.tcm_ifindex = index,
            .tcm_parent = INGRESS_HANDLE,
            .tcm_info = TC_H_MAKE(priority << 16, htons(ETH_P_ALL))};
}

static int remove_queue(int sock, int index)
{
    const struct tcmsg ingress = ingress_of(index);
    struct netlink_request request;

    netlink_begin(&request, RTM_DELQDISC, 0, &ingress, sizeof(ingress));
    return netlink_send(sock, &request);
}

static int add_queue(int sock, int index)
{
    const struct tcmsg ingress = ingress_of(index);
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &ingress, sizeof(ingress));
    netlink_add_str(&request, TCA_KIND, "ingress");
    return netlink_send(sock, &request);
}

static int add_filter(int sock, int from, int to, uint32_t priority)
{
    const struct tcmsg filter = filter_of(from, priority);
    const struct tc_mirred mirred = {
            .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
    struct {
        struct tc_u32_sel head;
        struct tc_u32_key all; /* no bit has to fit */
    } select = {.head = {.flags = TC_U32_TERMINAL, .nkeys = 1}};
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &filter, sizeof(filter));
    netlink_add_str(&request, TCA_KIND, "u32");
    struct nlattr *options = netlink_nest(&request, TCA_OPTIONS);
    netlink_add(&request, TCA_U32_SEL, &select, sizeof(select));
    struct nlattr *actions = netlink_nest(&request, TCA_U32_ACT);
    struct nlattr *first = netlink_nest(&request, 1);
    netlink_add_str(&request, TCA_ACT_KIND, "mirred");
    struct nlattr *how = netlink_nest(&request, TCA_ACT_OPTIONS);
    netlink_add(&request, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
    netlink_nest_end(&request, how);
    netlink_nest_end(&request, first);
    netlink_nest_end(&request, actions);
    netlink_nest_end(&request, options);
    return netlink_send(sock, &request);
}

int redirect_add(int sock, int from, int to, uint32_t priority)
{
    int r = add_queue(sock, from);

    if (r < 0)
        return r;
    r = add_filter(sock, from, to, priority);
    if (r < 0)
        remove_queue(sock, from);
    return r;
}

int redirect_remove(int sock, int from, uint32_t priority)
{
    const struct tcmsg filter = filter_of(from, priority);
    struct netlink_request request;

    netlink_begin(&request, RTM_DELTFILTER, 0, &filter, sizeof(filter));
    if (netlink_send(sock, &request) < 0)
        return -ENOENT;
    return remove_queue(sock, from);
}
