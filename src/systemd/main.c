#include "systemd/main.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/json.h"
#include "systemd/scope.h"

static int run(struct json_object **ret_answer, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = 1 << 20};
    _cleanup_json_ struct json_object *order = NULL;

    int r = io_read_fd(STDIN_FILENO, &text);
    if (r < 0)
        return error_sys(err, -r, "read the order");
    r = json_parse(buf_text(&text), text.length, "order", &order, err);
    return r < 0 ? r : scope_carry_out(order, ret_answer, err);
}

int main(void)
{
    _cleanup_json_ struct json_object *answer = NULL;
    struct error err = ERROR_NONE;

    if (run(&answer, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s\n", json_text(answer));
    return 0;
}
