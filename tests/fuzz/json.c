/* What the JSON reader accepts is JSON: written out and read again, it is the same value. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ struct json_object *value = NULL;
    _cleanup_json_ struct json_object *again = NULL;
    struct error err = {0};

    if (json_parse((const char *)data, size, "input", &value, &err) < 0)
        return 0;
    const char *text = json_text(value);
    if (json_parse(text, strlen(text), "output", &again, &err) < 0)
        abort();
    if (!json_object_equal(value, again))
        abort();
    return 0;
}
