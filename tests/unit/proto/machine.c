#include "proto/machine.h"

#include "test.h"

#define FD(number) "\"fd\": " #number

/* One of each field that may hold a descriptor. */
static const char *const everything =
        "{\"kernel\": {" FD(10) "}, \"initrd\": {" FD(11) "}, \"modules\": [{" FD(
                12) "}],"
                    " \"console\": {\"input\": 13, \"output\": 14},"
                    " \"disks\": [{\"file\": {" FD(15) "}, \"backing\": [{" FD(
                            16) "}]}],"
                                " \"nets\": [{" FD(
                                        17) "}], \"shares\": [{\"tag\": \"a\", \"folder\": "
                                            "{" FD(18) "}, \"files\": [{\"file\": {" FD(
                                                    24) "}}]}],"
                                                        " \"vsock\": {\"cid\": 3, " FD(
                                                                19) ", \"agentFd\": 20},"
                                                                    " \"snapshot\": {" FD(
                                                                            21) "}, "
                                                                                "\"reportFd"
                                                                                "\": 22, "
                                                                                "\"controlFd"
                                                                                "\": 23}";

static void note(struct opt_i64 *fd, void *data)
{
    uint32_t *seen = data;

    *seen |= 1U << fd->value;
    fd->value += 100;
}

TEST(every_descriptor_is_visited_once_and_may_be_changed)
{
    struct arena arena = {0};
    struct json_object *json = NULL;
    struct proto_machine machine;
    uint32_t seen = 0;

    CHECK_INT(json_parse(everything, strlen(everything), "test", &json, NULL), 0);
    CHECK_INT(proto_machine_read(json, &arena, &machine, NULL), 0);
    proto_machine_visit_fds(&machine, note, &seen);
    CHECK_INT(seen, 0x1fffc00);
    CHECK_INT(machine.disks.items[0].backing.items[0].fd.value, 116);
    CHECK_INT(machine.control_fd.value, 123);
    json_object_put(json);
    arena_free(&arena);
}

TEST(a_description_without_descriptors_has_none)
{
    struct proto_machine machine = {0};
    uint32_t seen = 0;

    proto_machine_visit_fds(&machine, note, &seen);
    CHECK_INT(seen, 0);
}

TEST_MAIN()
