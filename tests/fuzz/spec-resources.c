/* resources.json: reading, the rules, writing. */
#include "spec/check.h"
#include "spec_document.h"

static int load(const char *text, size_t length, const char *name, struct arena *arena, void *ret,
        struct strv *warnings, struct error *err)
{
    return spec_load_resources(text, length, name, arena, ret, warnings, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return spec_document_fuzz(data, size, &spec_resources_record, load);
}
