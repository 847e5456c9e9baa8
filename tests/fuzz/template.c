/* Templates of --format: whatever the text says, taking it apart and rendering it end, within the
 * caps. */
#include <stdint.h>
#include <stdlib.h>

#include "observe/template.h"

static const char data_text[] =
        "{\"A\":\"a b\",\"B\":false,\"N\":2,\"F\":1.5,\"List\":[1,\"two\",null,{\"x\":[3]}],"
        "\"Labels\":{\"k\":\"v\",\"l\":\"w\"},\"State\":{\"Status\":\"up\",\"Nil\":null}}";

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *data = NULL;
    _cleanup_buf_ struct buf out = {.max = 65536};
    _cleanup_buf_ struct buf heading = {.max = 65536};
    struct template *template;

    if (size > 4096 || template_parse(&arena, arena_strndup(&arena, (const char *)input, size),
                               &template, NULL) < 0)
        return 0;
    if (json_parse(data_text, sizeof(data_text) - 1, "data", &data, NULL) < 0)
        abort();
    if (template_render(template, data, &out, NULL) == 0 && out.length > out.max)
        abort();
    template_heading(template, NULL, &heading, NULL);
    return 0;
}
