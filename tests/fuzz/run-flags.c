/* The flags of `viv run`: the input's lines are the arguments. What is accepted makes a
 * configuration that can be written and read, and checking it never fails otherwise than by
 * telling faults. */
#include <stdint.h>

#include "cli/runflags.h"
#include "run_result.h"

#define ARGS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char variable[] = "A=1";
    static char *const environment[] = {variable, NULL};
    _cleanup_arena_ struct arena arena = {0};
    struct option_command command = run_flags_command("viv run", NULL);
    struct error err = ERROR_NONE;
    struct run_flags flags = {0};
    struct run_image image = {0};
    struct run_input input = {.environment = environment, .directory = "/d"};
    struct run_choices choices;
    struct strv args = {0};
    struct spec *spec = NULL;

    if (size > 65536)
        return 0;
    strv_split(&arena, &args, arena_strndup(&arena, (const char *)data, size), '\n');
    if (args.count > ARGS_MAX)
        return 0;
    int r = options_parse(
            &command, (int)args.count, args.words, &arena, &flags, &input.arguments, &err);
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    if (r != 0)
        return 0;
    strv_add(&arena, &image.command, "sh");
    input.image = flags.rootfs ? NULL : &image;
    for (size_t i = 0; i < flags.env_file.count; i++)
        strv_add(&arena, &input.env_files, flags.env_file.words[i]);
    r = run_flags_build(&arena, &flags, &input, &spec, &choices, &err);
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    if (r == 0)
        check_result(&arena, spec);
    return 0;
}
