#include "plan/run.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* A made-up kind of step that keeps a diary. */
static char diary[256];

struct note {
    const char *word;
    int fails; /* errno value, 0: does not */
};

static int note_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct note *note = step->args;

    (void)run;
    if (note->fails)
        return error_sys(err, note->fails, "%s", note->word);
    strcat(diary, note->word);
    return 0;
}

static int note_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct note *note = step->args;

    (void)run, (void)err;
    strcat(diary, "-");
    strcat(diary, note->word);
    return 0;
}

static const struct step_ops note_ops = {"note", "note(2)", note_apply, note_undo, NULL, NULL};

/* Forks a child that serves STEP_CHILD, as a real clone step does. */
static int fork_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    int pair[2];

    (void)step, (void)err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    run->child = fork();
    if (run->child == 0) {
        close(pair[0]);
        run->channel = pair[1];
        plan_serve_child(run);
    }
    close(pair[1]);
    run->channel = pair[0];
    plan_child_made(run);
    run->carriers[STEP_CHILD] = plan_carry_to_child;
    return 0;
}

static int fork_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)step, (void)err;
    close(run->channel);
    run->channel = -1;
    waitpid(run->child, NULL, 0);
    strcat(diary, "-fork");
    return 0;
}

static const struct step_ops fork_ops = {"fork", "fork(2)", fork_apply, fork_undo, NULL, NULL};

static int exec_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    static char name[] = "true";
    char *const argv[] = {name, NULL};

    (void)step, (void)run;
    execv("/bin/true", argv);
    return error_sys(err, errno, "execve");
}

static const struct step_ops exec_ops = {"execve", "execve(2)", exec_apply, NULL, NULL, NULL};

static void add_note(struct plan *plan, enum step_place place, const char *word, int fails)
{
    struct note *note = arena_new(plan->arena, struct note);

    *note = (struct note){word, fails};
    plan_add(plan, place, &note_ops, fails ? "/bad" : "", note);
}

TEST(run_applies_in_order_and_undoes_in_reverse)
{
    _cleanup_arena_ struct arena arena = {0};
    struct plan plan = {.arena = &arena};
    struct plan_run run;
    struct error err = ERROR_NONE;

    diary[0] = '\0';
    add_note(&plan, STEP_HOST, "a", 0);
    add_note(&plan, STEP_HOST, "b", 0);
    plan_run_init(&run, &plan);
    CHECK_INT(plan_apply(&run, &err), 0);
    CHECK_STR(diary, "ab");
    CHECK_INT(plan_undo(&run, &err), 0);
    CHECK_STR(diary, "ab-b-a");
    plan_run_end(&run);
}

TEST(run_takes_back_what_was_done_before_a_failure)
{
    _cleanup_arena_ struct arena arena = {0};
    struct plan plan = {.arena = &arena};
    struct plan_run run;
    struct error err = ERROR_NONE;

    diary[0] = '\0';
    add_note(&plan, STEP_HOST, "a", 0);
    plan_add(&plan, STEP_HOST, &fork_ops, "", NULL);
    add_note(&plan, STEP_CHILD, "b", 0);
    add_note(&plan, STEP_CHILD, "c", EPERM);
    plan_run_init(&run, &plan);
    CHECK_INT(plan_apply(&run, &err), -EPERM);
    CHECK_STR(err.text, "step 4 (note, config.json /bad): c: EPERM: Operation not permitted");
    CHECK_STR(diary, "a-fork-a");
    plan_run_end(&run);
}

TEST(run_ends_well_when_the_workload_takes_over)
{
    _cleanup_arena_ struct arena arena = {0};
    struct plan plan = {.arena = &arena};
    struct plan_run run;
    struct error err = ERROR_NONE;
    int status = -1;

    plan_add(&plan, STEP_HOST, &fork_ops, "", NULL);
    add_note(&plan, STEP_CHILD, "b", 0);
    add_note(&plan, STEP_HOST, "c", 0);
    plan_add(&plan, STEP_CHILD, &exec_ops, "", NULL);
    plan_run_init(&run, &plan);
    CHECK_INT(plan_apply(&run, &err), 0);
    CHECK_INT(waitpid(run.child, &status, 0), run.child);
    CHECK_INT(status, 0);
    plan_run_end(&run);
}

static int open_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)err;
    run->fds[*(const int *)step->args] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return 0;
}

static const struct step_ops open_ops = {"open", "open(2)", open_apply, NULL, NULL, NULL};

static int use_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    int slot = *(const int *)step->args;
    struct stat found;

    if (fstat(run->fds[slot], &found) < 0)
        return error_sys(err, errno, "slot %d", slot);
    return S_ISCHR(found.st_mode) ? 0 : error_set(err, EINVAL, "slot %d is another file", slot);
}

static const struct step_ops use_ops = {"use", "use(2)", use_apply, NULL, NULL, NULL};

TEST(run_hands_late_descriptors_to_the_child)
{
    _cleanup_arena_ struct arena arena = {0};
    struct plan plan = {.arena = &arena};
    struct plan_run run;
    struct error err = ERROR_NONE;
    int slots[20];

    plan_add(&plan, STEP_HOST, &fork_ops, "", NULL);
    for (int i = 0; i < 20; i++) {
        slots[i] = plan_new_slot(&plan);
        plan_add(&plan, STEP_HOST, &open_ops, "", &slots[i]);
    }
    for (int i = 0; i < 20; i++)
        plan_add(&plan, STEP_CHILD, &use_ops, "", &slots[i]);
    add_note(&plan, STEP_HOST, "end", 0);
    plan_run_init(&run, &plan);
    CHECK_INT(plan_apply(&run, &err), 0);
    CHECK_INT(plan_undo(&run, &err), 0);
    plan_run_end(&run);
}

TEST(run_can_be_made_to_fail_at_each_step)
{
    for (size_t at = 1; at <= 4; at++) {
        _cleanup_arena_ struct arena arena = {0};
        struct plan plan = {.arena = &arena};
        struct plan_run run;
        struct error err = ERROR_NONE;

        add_note(&plan, STEP_HOST, "a", 0);
        plan_add(&plan, STEP_HOST, &fork_ops, "", NULL);
        add_note(&plan, STEP_CHILD, "b", 0);
        plan_add(&plan, STEP_CHILD, &exec_ops, "", NULL);
        plan_run_init(&run, &plan);
        run.faults.fail_at = at;
        diary[0] = '\0';
        CHECK_INT(plan_apply(&run, &err), -ECANCELED);
        CHECK_STR(diary, at == 1 ? "" : at == 2 ? "a-a" : "a-fork-a");
        plan_run_end(&run);
    }
}

TEST(run_says_how_a_child_died)
{
    _cleanup_arena_ struct arena arena = {0};
    struct plan plan = {.arena = &arena};
    struct plan_run run;
    struct error err = ERROR_NONE;

    plan_add(&plan, STEP_HOST, &fork_ops, "", NULL);
    add_note(&plan, STEP_CHILD, "b", 0);
    add_note(&plan, STEP_HOST, "c", 0);
    plan_run_init(&run, &plan);
    CHECK_INT(plan_apply_step(&run, 0, &err), 0);
    kill(run.child, SIGKILL);
    CHECK_INT(plan_carry_to_child(&run, 1, 2, &(int64_t){0}, &err), -EPIPE);
    CHECK(strstr(err.text, "killed by signal 9"));
    fork_undo(NULL, &run, NULL);
    plan_run_end(&run);
}

TEST_MAIN()
