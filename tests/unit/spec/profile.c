#include "spec/profile.h"

#include "test.h"

static const char example[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"defaultErrno\":\"ENOSYS\","
        "\"archMap\":[{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":["
        "\"SCMP_ARCH_ARM\"]},{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":["
        "\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]}],"
        "\"syscalls\":["
        "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[],\"comment\":\"c\","
        "\"includes\":{},\"excludes\":{},\"errnoRet\":null},"
        "{\"name\":\"old\",\"action\":\"SCMP_ACT_ALLOW\"},"
        "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":["
        "\"CAP_SYS_ADMIN\"]}},"
        "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":"
        "2114060288,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":["
        "\"CAP_SYS_ADMIN\"],\"arches\":[\"s390\",\"s390x\"]}},"
        "{\"names\":[\"modify_ldt\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":["
        "\"amd64\",\"x32\"]}},"
        "{\"names\":[\"breakpoint\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":["
        "\"arm\"]}},"
        "{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":"
        "\"4.8\"}},"
        "{\"names\":[\"before\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"errno\":\"EPERM\","
        "\"excludes\":{\"minKernel\":\"5.0\"}}"
        "]}";

/* The names of the rules that are left. */
static const char *rules_for(struct arena *arena, unsigned major, unsigned minor,
        const char *capability, struct spec_seccomp *ret)
{
    struct strv capabilities = {0};
    struct strv names = {0};
    struct strv warnings = {0};
    struct error err = ERROR_NONE;
    struct spec_profile_host host = {"amd64", "SCMP_ARCH_X86_64", {major, minor}, &capabilities};

    *ret = (struct spec_seccomp){0};
    if (capability)
        strv_add(arena, &capabilities, capability);
    if (spec_profile_load(example, strlen(example), "p", arena, &host, ret, &warnings, &err) < 0)
        return arena_strdup(arena, err.text);
    for (size_t i = 0; i < ret->syscalls.count; i++)
        strv_add(arena, &names, ret->syscalls.items[i].names.words[0]);
    return warnings.count ? warnings.words[0] : strv_join(arena, &names, " ");
}

TEST(profile_holds_conditions_against_the_host)
{
    _cleanup_arena_ struct arena arena = {0};
    struct spec_seccomp seccomp;

    CHECK_STR(rules_for(&arena, 6, 18, NULL, &seccomp), "read old clone modify_ldt ptrace");
    CHECK_STR(strv_join(&arena, &seccomp.architectures, " "),
            "SCMP_ARCH_X86_64 SCMP_ARCH_X86 SCMP_ARCH_X32");
    CHECK_STR(seccomp.defaultAction, "SCMP_ACT_ERRNO");
    CHECK_INT(seccomp.defaultErrnoRet.value, 38);
    CHECK_INT(seccomp.syscalls.items[2].args.items[0].value, 2114060288);
    CHECK_STR(rules_for(&arena, 4, 7, NULL, &seccomp), "read old clone modify_ldt before");
    CHECK_STR(rules_for(&arena, 4, 8, "CAP_SYS_ADMIN", &seccomp),
            "read old mount modify_ldt ptrace before");
}

TEST(profile_that_is_wrong_is_told)
{
    static const char text[] = "{\"architectures\":[\"SCMP_ARCH_X86_64\"],\"syscalls\":[{\"names\":"
                               "[\"a\"],\"action\":\"SCMP_ACT_ALLOWED\",\"includes\":{"
                               "\"minKernel\":\"new\"}},{\"names\":7,\"action\":\"SCMP_ACT_LOG\"},"
                               "{\"names\":[\"b\"],\"action\":\"SCMP_ACT_ALOW\"}]}";
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct spec_profile_host host = {"amd64", "SCMP_ARCH_X86_64", {6, 1}, NULL};
    struct spec_seccomp seccomp;

    CHECK_INT(spec_profile_load(text, strlen(text), "p", &arena, &host, &seccomp, NULL, &err),
            -EINVAL);
    CHECK_STR(err.text,
            "p: 5 errors:\n"
            "  /syscalls/1/names: expected an array, found an integer\n"
            "  /defaultAction: required, but missing\n"
            "  /syscalls/0/includes/minKernel: \"new\" is not a kernel's version: write two "
            "numbers, as in \"4.8\"\n"
            "  /syscalls/0/action: unknown seccomp action \"SCMP_ACT_ALLOWED\"; did you mean "
            "\"SCMP_ACT_ALLOW\"?\n"
            "  /syscalls/2/action: unknown seccomp action \"SCMP_ACT_ALOW\"; did you mean "
            "\"SCMP_ACT_ALLOW\"?");
}

TEST_MAIN()
