/* state.json: what is accepted is written out, and read again it gives the same text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = &arena};
    struct spec_state state = {0};
    struct spec_state second = {0};

    if (json_parse((const char *)data, size, "input", &json, NULL) < 0)
        return 0;
    spec_state_read(json, &state, &report);
    if (report.faults.count)
        return 0;
    _cleanup_json_ struct json_object *written = spec_state_write_full(&state);
    spec_state_read(written, &second, &report);
    if (report.faults.count)
        abort();
    _cleanup_json_ struct json_object *again = spec_state_write_full(&second);
    if (strcmp(json_text(written), json_text(again)) != 0)
        abort();
    return 0;
}
