#include "vm/state.h"

#include <string.h>

/* In front of a section, and of a field; the name follows, then fields or bytes. */
struct section_head {
    uint32_t length; /* of all that follows */
    uint32_t instance;
    uint8_t name_length;
} __attribute__((packed));

struct field_head {
    uint32_t length; /* of the bytes behind the name */
    uint8_t name_length;
} __attribute__((packed));

/* A place in the bytes, and their end. */
struct cursor {
    const uint8_t *at, *end;
};

struct part {
    const char *name;
    size_t name_length;
    uint32_t instance;
    struct cursor body;
};

#define BYTES "bytes" /* the one field of a section that has a form of its own */

static void put_field(struct buf *out, const char *name, const void *data, size_t size)
{
    struct field_head head = {(uint32_t)size, (uint8_t)strlen(name)};

    buf_add(out, &head, sizeof(head));
    buf_add_str(out, name);
    buf_add(out, data, size);
}

static size_t field_length(const char *name, size_t size)
{
    return sizeof(struct field_head) + strlen(name) + size;
}

/* `length`: of its fields. */
static void put_head(struct buf *out, const char *name, uint32_t instance, size_t length)
{
    struct section_head head = {0, instance, (uint8_t)strlen(name)};

    head.length = (uint32_t)(head.name_length + length);
    buf_add(out, &head, sizeof(head));
    buf_add_str(out, name);
}

void state_put(
        struct buf *out, const struct state_table *table, uint32_t instance, const void *from)
{
    size_t length = 0;

    for (size_t i = 0; i < table->count; i++)
        length += field_length(table->fields[i].name, table->fields[i].size);
    put_head(out, table->name, instance, length);
    for (size_t i = 0; i < table->count; i++)
        put_field(out, table->fields[i].name, (const char *)from + table->fields[i].offset,
                table->fields[i].size);
}

void state_put_bytes(
        struct buf *out, const char *name, uint32_t instance, const void *data, size_t length)
{
    put_head(out, name, instance, field_length(BYTES, length));
    put_field(out, BYTES, data, length);
}

/* The next section: 1, 0 at the end, -EBADMSG. */
static int next_section(struct cursor *cursor, struct part *ret)
{
    struct section_head head;
    size_t left = (size_t)(cursor->end - cursor->at);

    if (left == 0)
        return 0;
    if (left < sizeof(head))
        return -EBADMSG;
    memcpy(&head, cursor->at, sizeof(head));
    if (head.length > left - sizeof(head) || head.name_length > head.length)
        return -EBADMSG;
    const uint8_t *name = cursor->at + sizeof(head);
    cursor->at = name + head.length;
    *ret = (struct part){(const char *)name, head.name_length, head.instance,
            {name + head.name_length, cursor->at}};
    return 1;
}

static int next_field(struct cursor *cursor, struct part *ret)
{
    struct field_head head;
    size_t left = (size_t)(cursor->end - cursor->at);

    if (left == 0)
        return 0;
    if (left < sizeof(head))
        return -EBADMSG;
    memcpy(&head, cursor->at, sizeof(head));
    left -= sizeof(head);
    if (head.name_length > left || head.length > left - head.name_length)
        return -EBADMSG;
    const uint8_t *name = cursor->at + sizeof(head), *data = name + head.name_length;
    cursor->at = data + head.length;
    *ret = (struct part){(const char *)name, head.name_length, 0, {data, cursor->at}};
    return 1;
}

static bool has_name(const struct part *part, const char *name)
{
    return part->name_length == strlen(name) && memcmp(part->name, name, part->name_length) == 0;
}

static int check_fields(struct cursor body)
{
    struct part field;
    int r;

    while ((r = next_field(&body, &field)) > 0)
        continue;
    return r;
}

int state_open(struct state *ret, const void *data, size_t length, struct error *err)
{
    struct cursor cursor = {data, (const uint8_t *)data + length};
    struct part section;
    int r;

    while ((r = next_section(&cursor, &section)) > 0)
        if ((r = check_fields(section.body)) < 0)
            break;
    if (r < 0)
        return error_set(err, EBADMSG, "the machine's state is damaged");
    *ret = (struct state){data, length};
    return 0;
}

static bool find_section(
        const struct state *state, const char *name, uint32_t instance, struct cursor *ret)
{
    struct cursor cursor = {state->data, state->data + state->length};
    struct part section;

    while (next_section(&cursor, &section) > 0)
        if (section.instance == instance && has_name(&section, name)) {
            *ret = section.body;
            return true;
        }
    return false;
}

/* The bytes of a field, or NULL and what is wrong with it. */
static const uint8_t *find_field(
        struct cursor body, const struct state_field *field, const char **ret_fault)
{
    struct part part;

    *ret_fault = "is missing";
    while (next_field(&body, &part) > 0) {
        if (!has_name(&part, field->name))
            continue;
        bool fits = (size_t)(part.body.end - part.body.at) == field->size;
        *ret_fault = fits ? "is no boolean" : "has another size";
        if (fits && (field->kind != STATE_BOOL || *part.body.at <= 1))
            return part.body.at;
        break;
    }
    return NULL;
}

static int no_section(const char *name, uint32_t instance, struct error *err)
{
    return error_set(err, ENOENT, "the snapshot has no %s %u", name, instance);
}

int state_get_bytes(const struct state *state, const char *name, uint32_t instance,
        const void **ret, size_t *ret_length, struct error *err)
{
    struct cursor body;
    struct part part;

    if (!find_section(state, name, instance, &body))
        return no_section(name, instance, err);
    while (next_field(&body, &part) > 0) {
        if (!has_name(&part, BYTES))
            continue;
        *ret = part.body.at;
        *ret_length = (size_t)(part.body.end - part.body.at);
        return 0;
    }
    return error_set(err, EBADMSG, "%s %u of the snapshot: " BYTES " is missing", name, instance);
}

int state_get(const struct state *state, const struct state_table *table, uint32_t instance,
        void *into, struct error *err)
{
    struct cursor body;
    const char *fault;

    if (!find_section(state, table->name, instance, &body))
        return no_section(table->name, instance, err);
    for (size_t i = 0; i < table->count; i++)
        if (!find_field(body, &table->fields[i], &fault))
            return error_set(err, EBADMSG, "%s %u of the snapshot: %s %s", table->name, instance,
                    table->fields[i].name, fault);
    for (size_t i = 0; i < table->count; i++)
        memcpy((char *)into + table->fields[i].offset, find_field(body, &table->fields[i], &fault),
                table->fields[i].size);
    return 0;
}
