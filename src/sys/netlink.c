#include "sys/netlink.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/door.h"

static struct nlmsghdr *header_of(struct netlink_request *request)
{
    return (struct nlmsghdr *)(void *)request->bytes;
}

int netlink_open_kind(int protocol)
{
    return (int)SYS_CALL("socket", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
}

int netlink_open(void)
{
    return netlink_open_kind(NETLINK_ROUTE);
}

void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
        const void *header, size_t size)
{
    memset(request, 0, sizeof(*request));
    *header_of(request) = (struct nlmsghdr){
            .nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
            .nlmsg_type = type,
            .nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST),
            .nlmsg_seq = 1,
    };
    memcpy(NLMSG_DATA(request->bytes), header, size);
}

void netlink_add(struct netlink_request *request, uint16_t type, const void *data, size_t size)
{
    struct nlmsghdr *header = header_of(request);
    size_t at = NLMSG_ALIGN(header->nlmsg_len);

    if (at + NETLINK_ATTRIBUTE + NETLINK_PADDED(size) > sizeof(request->bytes)) {
        request->overflow = true;
        return;
    }
    struct nlattr *attribute = (struct nlattr *)(void *)(request->bytes + at);
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(NETLINK_ATTRIBUTE + size);
    if (size)
        memcpy((char *)attribute + NETLINK_ATTRIBUTE, data, size);
    header->nlmsg_len = (uint32_t)(at + NETLINK_ATTRIBUTE + NETLINK_PADDED(size));
}

void netlink_add_u32(struct netlink_request *request, uint16_t type, uint32_t value)
{
    netlink_add(request, type, &value, sizeof(value));
}

void netlink_add_str(struct netlink_request *request, uint16_t type, const char *text)
{
    netlink_add(request, type, text, strlen(text) + 1);
}

void netlink_add_raw(struct netlink_request *request, const void *data, size_t size)
{
    struct nlmsghdr *header = header_of(request);
    size_t at = NLMSG_ALIGN(header->nlmsg_len);

    if (at + NETLINK_PADDED(size) > sizeof(request->bytes)) {
        request->overflow = true;
        return;
    }
    memcpy(request->bytes + at, data, size);
    header->nlmsg_len = (uint32_t)(at + NETLINK_PADDED(size));
}

struct nlattr *netlink_nest(struct netlink_request *request, uint16_t type)
{
    size_t at = NLMSG_ALIGN(header_of(request)->nlmsg_len);

    netlink_add(request, type | NLA_F_NESTED, NULL, 0);
    return request->overflow ? NULL : (struct nlattr *)(void *)(request->bytes + at);
}

void netlink_nest_end(struct netlink_request *request, struct nlattr *nest)
{
    if (nest)
        nest->nla_len = (uint16_t)(request->bytes + header_of(request)->nlmsg_len - (char *)nest);
}

static int send_request(int sock, struct netlink_request *request)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    if (request->overflow)
        return -EMSGSIZE;
    long sent = SYS_CALL("sendto", sendto(sock, request->bytes, header_of(request)->nlmsg_len, 0,
                                           (const struct sockaddr *)&kernel, sizeof(kernel)));
    return sent < 0 ? (int)sent : 0;
}

/* One message: 0 to go on, 1 at the end of the answer, negative for an error. */
static int take_message(const struct nlmsghdr *message, bool dump, netlink_each_fn fn, void *data)
{
    if (message->nlmsg_type == NLMSG_DONE)
        return 1;
    if (message->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(message);
        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
            return -EBADMSG;
        return error->error ? error->error : 1;
    }
    int r = fn ? fn(data, message) : 0;
    if (r != 0)
        return r < 0 ? r : -ECANCELED;
    return dump ? 0 : 1;
}

static int read_answer(int sock, bool dump, netlink_each_fn fn, void *data)
{
    _Alignas(struct nlmsghdr) char bytes[16384];

    for (;;) {
        ssize_t got = recv(sock, bytes, sizeof(bytes), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
        unsigned left = (unsigned)got;
        for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            int r = take_message(message, dump, fn, data);
            if (r != 0)
                return r < 0 ? r : 0;
        }
    }
}

int netlink_send(int sock, struct netlink_request *request)
{
    header_of(request)->nlmsg_flags |= NLM_F_ACK;
    int r = send_request(sock, request);
    return r < 0 ? r : read_answer(sock, true, NULL, NULL);
}

int netlink_ask(int sock, struct netlink_request *request, netlink_each_fn fn, void *data)
{
    bool dump = (header_of(request)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    int r = send_request(sock, request);

    return r < 0 ? r : read_answer(sock, dump, fn, data);
}

const struct nlattr *netlink_find(const struct nlmsghdr *message, size_t size, uint16_t type)
{
    size_t at = NLMSG_LENGTH(NLMSG_ALIGN(size));

    while (at + NETLINK_ATTRIBUTE <= message->nlmsg_len) {
        const struct nlattr *attribute =
                (const struct nlattr *)(const void *)((const char *)message + at);
        if (attribute->nla_len < NETLINK_ATTRIBUTE || at + attribute->nla_len > message->nlmsg_len)
            return NULL;
        if ((attribute->nla_type & NLA_TYPE_MASK) == type)
            return attribute;
        at += NETLINK_PADDED(attribute->nla_len);
    }
    return NULL;
}
