#include "net/port.h"

#include <netinet/in.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define PORT_TEXT_MAX 128

static const struct {
    const char *name;
    int number;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}};

const char *net_protocol_name(enum net_protocol protocol)
{
    return protocols[protocol].name;
}

int net_protocol_number(enum net_protocol protocol)
{
    return protocols[protocol].number;
}

static const struct field port_fields[] = {
        FIELD(struct net_port, host_ip, FIELD_STR),
        FIELD_WRITTEN(struct net_port, host_port, FIELD_U32),
        FIELD_WRITTEN(struct net_port, container_port, FIELD_U32),
        FIELD_WRITTEN(struct net_port, protocol, FIELD_STR),
};
const struct record net_port_record = RECORD(struct net_port, port_fields);

static int parse_number(const char *text, uint16_t *ret)
{
    uint32_t number;

    if (str_to_u32(text, &number) < 0 || number == 0 || number > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t)number;
    return 0;
}

/* "80" or "80-89"; the text is changed. */
static int parse_range(char *text, uint16_t *ret_first, uint16_t *ret_count)
{
    char *dash = strchr(text, '-');
    uint16_t last;

    if (dash)
        *dash = '\0';
    if (parse_number(text, ret_first) < 0)
        return -EINVAL;
    if (!dash) {
        *ret_count = 1;
        return 0;
    }
    if (parse_number(dash + 1, &last) < 0 || last < *ret_first ||
            last - *ret_first >= NET_PORTS_MAX)
        return -EINVAL;
    *ret_count = (uint16_t)(last - *ret_first + 1);
    return 0;
}

/* Cuts "/udp" off. */
static int take_protocol(char *text, enum net_protocol *ret)
{
    char *slash = strchr(text, '/');

    *ret = NET_TCP;
    if (!slash)
        return 0;
    *slash = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (strcasecmp(slash + 1, protocols[i].name) == 0) {
            *ret = (enum net_protocol)i;
            return 0;
        }
    return -EINVAL;
}

/* What stands before the port inside: "8080", "127.0.0.1:8080", "127.0.0.1:". */
static int parse_host(char *text, struct net_publish *publish)
{
    char *colon = strrchr(text, ':');
    char *port = colon ? colon + 1 : text;
    uint16_t count;

    if (text[0] == '[' && text[strlen(text) - 1] == ']')
        return -EINVAL; /* the port's colon is missing */
    if (colon) {
        *colon = '\0';
        bool bare6 = strchr(text, ':') && text[0] != '[';
        if (bare6 || net_address_parse(text, true, &publish->host) < 0)
            return -EINVAL;
    }
    if (!*port)
        return colon ? 0 : -EINVAL;
    if (parse_range(port, &publish->host_port, &count) < 0)
        return -EINVAL;
    publish->choices = publish->count == 1 ? count : 1;
    return count == publish->count || publish->count == 1 ? 0 : -ERANGE;
}

static int parse(char *text, bool host, struct net_publish *publish)
{
    if (take_protocol(text, &publish->protocol) < 0)
        return -EINVAL;
    char *colon = host ? strrchr(text, ':') : NULL;
    if (parse_range(colon ? colon + 1 : text, &publish->port, &publish->count) < 0)
        return -EINVAL;
    if (!colon)
        return 0;
    *colon = '\0';
    return parse_host(text, publish);
}

static int parse_text(const char *text, bool host, struct net_publish *publish)
{
    char copy[PORT_TEXT_MAX];
    size_t length = strlen(text);

    if (length >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, length + 1);
    return parse(copy, host, publish);
}

int net_publish_parse(const char *text, struct net_publish *ret, struct error *err)
{
    struct net_publish publish = {0};
    int r = parse_text(text, true, &publish);

    if (r == -ERANGE)
        return error_set(err, EINVAL,
                "\"%s\": the two ranges have to be of the same length, as in 8000-8009:80-89",
                text);
    if (r < 0)
        return error_set(err, EINVAL,
                "\"%.128s\": write [[ADDRESS:][PORT]:]PORT[/tcp|udp|sctp], as in 8080:80, "
                "127.0.0.1:8080:80, [::1]:8080:80 or 8000-8009:80-89/udp",
                text);
    *ret = publish;
    return 0;
}

int net_expose_parse(const char *text, struct net_publish *ret, struct error *err)
{
    struct net_publish publish = {0};

    if (parse_text(text, false, &publish) < 0)
        return error_set(err, EINVAL,
                "\"%.128s\": write PORT[-PORT][/tcp|udp|sctp], as in 80 or 8000-8009/udp", text);
    *ret = publish;
    return 0;
}
