/* Requests to a machine's control socket: what is accepted, written and read again, is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    struct proto_control request = {0}, second = {0};

    if (proto_control_parse((const char *)data, size, &arena, &request, NULL) < 0)
        return 0;
    _cleanup_json_ struct json_object *written = record_write(&proto_control_record, &request);
    const char *text = json_text(written);
    if (proto_control_parse(text, strlen(text), &arena, &second, NULL) < 0)
        abort();
    _cleanup_json_ struct json_object *again = record_write(&proto_control_record, &second);
    if (strcmp(text, json_text(again)) != 0)
        abort();
    return 0;
}
