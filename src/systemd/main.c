#include "systemd/main.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"
#include "systemd/journal.h"
#include "systemd/scope.h"

static int run_order(const struct buf *text, struct error *err)
{
    _cleanup_json_ struct json_object *order = NULL;
    _cleanup_json_ struct json_object *answer = NULL;
    int r = json_parse(buf_text(text), text->length, "order", &order, err);

    if (r == 0 && str_equal(json_get_str(order, "call"), "journal"))
        return journal_print(order, err);
    if (r == 0)
        r = scope_carry_out(order, &answer, err);
    if (r == 0)
        printf("%s\n", json_text(answer));
    return r;
}

/* An order that goes on until standard input ends is the program's argument. */
static int run(const char *argument, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = 1 << 20};

    if (argument)
        buf_add_str(&text, argument);
    int r = argument ? 0 : io_read_fd(STDIN_FILENO, &text);
    return r < 0 ? error_sys(err, -r, "read the order") : run_order(&text, err);
}

int main(int argc, char **argv)
{
    struct error err = ERROR_NONE;

    if (run(argc > 1 ? argv[1] : NULL, &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
