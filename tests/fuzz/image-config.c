/* An image's configuration, which comes from strangers: how it is to be run makes a configuration
 * of a sandbox that can be written and read; lines of a Dockerfile change it whatever it holds. */
#include <stdint.h>

#include "base/cleanup.h"
#include "cli/runimage.h"
#include "image/change.h"
#include "image/ingest.h"
#include "image/manifest.h"
#include "run_result.h"

static void run_it(struct json_object *config)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct run_flags flags = {0};
    struct run_image image;
    struct run_input input = {.image = &image, .directory = "/d"};
    struct run_choices choices;
    struct spec *spec = NULL;

    run_image_read(&arena, config, &image);
    strv_add(&arena, &input.arguments, "image");
    int r = run_flags_build(&arena, &flags, &input, &spec, &choices, &err);
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    if (r == 0)
        check_result(&arena, spec);
}

static void change_it(struct json_object *image)
{
    static const char *const lines[] = {"CMD [\"a\"]", "ENTRYPOINT run me", "ENV A=1 B=\"2 3\"",
            "EXPOSE 80", "LABEL a=b", "VOLUME /v", "USER 1", "WORKDIR /w", "STOPSIGNAL SIGINT",
            "ONBUILD RUN x"};
    struct json_object *config = change_member(image, "config", json_type_object);
    _cleanup_json_ struct json_object *again = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (change_apply(config, lines[i], NULL) < 0)
            abort();
    change_replace(config, json_get(image, "replacement"));
    const char *text = json_text(image);
    if (json_parse(text, strlen(text), "what was written", &again, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct manifest manifest = {.count = 2};
    const char **diff_ids;

    if (json_parse((const char *)data, size, "configuration", &json, NULL) < 0 ||
            !json_object_is_type(json, json_type_object))
        return 0;
    struct platform platform = manifest_config_platform(json);
    platform_text(&platform, &arena);
    if (manifest_diff_ids(json, &manifest, &arena, &diff_ids, NULL) == 0 && !diff_ids[1])
        abort();
    ingest_time(json_get_str(json, "created"));
    run_it(json_get(json, "config"));
    change_it(json);
    return 0;
}
