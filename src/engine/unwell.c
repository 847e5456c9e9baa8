#include "engine/unwell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/process.h"

static void act(const struct engine_root *root, const struct sandbox_meta *meta)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_engine_ struct engine engine = {0};
    const char *action = meta->health.on_failure;
    const struct engine_stopping stopping = {
            .timeout_s = -1, .again = str_equal(action, "restart")};

    if (engine_open(&arena, root, &engine, NULL) < 0)
        return;
    if (str_equal(action, "kill"))
        engine_kill(&engine, meta->id, SIGKILL, false, NULL);
    else
        engine_stop(&engine, meta->id, &stopping, NULL);
}

/* The child of a child: whoever reaps orphans reaps it. It keeps nothing of its maker's open, the
 * lock on the record above all. */
static void begin(const struct engine_root *root, const struct sandbox_meta *meta)
{
    sigset_t none;

    sys_setsid();
    if (fork() != 0)
        _exit(0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sys_close_range(0, ~0U, 0);
    for (int fd = 0; fd < 3; fd++)
        open("/dev/null", O_RDWR);
    act(root, meta);
    _exit(0);
}

void unwell_act(const struct engine_root *root, const struct sandbox_meta *meta)
{
    pid_t pid = fork();

    if (pid == 0)
        begin(root, meta);
    if (pid > 0)
        waitpid(pid, NULL, 0);
}
