"""A small policy of SELinux for tests, in CIL: the host's own domain may do all, box_t may not.

    base_t       the host: processes and files; everything is allowed
    box_t        a workload: it may run and read what is of base_t, and write what is of box_file_t
    box_file_t   what workloads may write, and read where their categories include the file's

Whatever this policy does not name is allowed, so that it says what the tests ask for and no more.
"""
import contextlib
import pathlib
import subprocess

SELINUXFS = pathlib.Path("/sys/fs/selinux")
# The kernel knows these by their order (security/selinux/include/initial_sid_to_string.h).
INITIAL = """kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet
icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm
sysctl_dev kmod policy scmp_packet devnull""".split()
FILE = """ioctl read write create getattr setattr lock relabelfrom relabelto append map unlink link rename execute
quotaon mounton audit_access open execmod watch watch_mount watch_sb watch_with_perm watch_reads"""
FILES = {"file": "execute_no_trans entrypoint", "dir": "add_name remove_name reparent search rmdir", "lnk_file": "",
         "chr_file": "", "blk_file": "", "sock_file": "", "fifo_file": ""}
OTHERS = {
    "security": "compute_av setenforce load_policy",  # the kernel wants to find some of its own
    "process": "fork transition sigchld sigkill sigstop signull signal ptrace getattr setexec setkeycreate share "
               "noatsecure siginh rlimitinh dyntransition setcurrent",
    "process2": "nnp_transition nosuid_transition",
    "key": "view read write search link setattr create"}
READ = "(read getattr open map execute execute_no_trans entrypoint)"
RULES = """
(allow base_t any {0})
(allow box_t base_t (file {1}))
(allow box_t base_t (dir (read getattr open search)))
(allow box_t base_t (lnk_file (read getattr)))
(allow box_t base_t (chr_file (all)))
(allow box_t base_t (fifo_file (all)))
(allow box_t base_t (sock_file (all)))
(allow box_t base_t (process (sigchld)))
(allow box_t box_file_t (anyfile (all)))
(allow box_t self (process (all)))
(allow box_t box_t (anyfile (all)))
(allow box_t box_t (key (all)))
(mlsconstrain (file (read write open)) (or (dom h1 h2) (neq t2 box_file_t)))
"""


def text():
    parts = ["(handleunknown allow)", "(mls true)", "(policycap open_perms)",
             "(policycap nnp_nosuid_transition)", f"(common files ({FILE}))"]
    for name, extra in FILES.items():
        parts += [f"(class {name} ({extra}))", f"(classcommon {name} files)"]
    parts += [f"(class {name} ({words}))" for name, words in OTHERS.items()]
    categories = " ".join(f"c{number}" for number in range(1024))
    parts += [f"(classorder ({' '.join([*FILES, *OTHERS])}))", "(sensitivity s0)", "(sensitivityorder (s0))",
              *(f"(category {name})" for name in categories.split()), f"(categoryorder ({categories}))",
              "(sensitivitycategory s0 (range c0 c1023))", "(user system_u)",
              "(userlevel system_u (s0))", "(userrange system_u ((s0) (s0 (range c0 c1023))))",
              "(typeattribute any)"]
    for role in ("system_r", "object_r"):
        parts += [f"(role {role})", f"(userrole system_u {role})"]
    for name in ("base_t", "box_t", "box_file_t"):
        parts += [f"(type {name})", f"(typeattributeset any {name})", f"(roletype system_r {name})",
                  f"(roletype object_r {name})"]
    everything = [f"({name} (all))" for name in [*FILES, *OTHERS]]
    for rule in RULES.strip().splitlines():
        if "{0}" in rule:
            parts += [rule.format(one) for one in everything]
        elif "(anyfile" in rule:
            parts += [rule.replace("anyfile", name) for name in FILES]
        else:
            parts.append(rule.replace("{1}", READ))
    here = "(system_u object_r base_t ((s0) (s0)))"
    own = "(system_u system_r base_t ((s0) (s0 (range c0 c1023))))"
    parts += [f"(sid {name})\n(sidcontext {name} {own if name == 'kernel' else here})" for name in INITIAL]
    parts.append(f"(sidorder ({' '.join(INITIAL)}))")
    parts += [f"(fsuse {how} {kind} {here})" for how, kind in
              [("trans", "tmpfs"), ("trans", "devtmpfs"), ("trans", "devpts"), ("xattr", "overlay"), ("xattr", "ext4"),
               ("task", "pipefs"), ("task", "sockfs")]]
    return "\n".join(parts) + "\n"


def load(folder):
    """Compiles the policy in a folder and loads it, once: it cannot be taken back. It enforces nothing yet."""
    if not (SELINUXFS / "enforce").exists():
        subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", SELINUXFS], check=True)
    if "base_t" in pathlib.Path("/proc/self/attr/current").read_text():
        return
    source, binary = folder / "policy.cil", folder / "policy"
    source.write_text(text())
    version = (SELINUXFS / "policyvers").read_text()
    subprocess.run(["secilc", "-c", version, "-o", binary, "-f", "/dev/null", source], check=True)
    # in one write, as the kernel asks for
    with open(SELINUXFS / "load", "wb", buffering=0) as out:
        data = binary.read_bytes()
        if out.write(data) != len(data):
            raise OSError("the policy was not taken whole")


@contextlib.contextmanager
def enforcing():
    (SELINUXFS / "enforce").write_text("1")
    try:
        yield
    finally:
        (SELINUXFS / "enforce").write_text("0")
