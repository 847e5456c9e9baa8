"""scripts/packages names all that the build asks for, and its names exist."""
import re
import subprocess

from lib import *
from source import ROOT


def listed(group):
    return run(ROOT / "scripts/packages", "--list", group).ok().lines()


def owner(pattern):
    """The installed packages that have a file like that."""
    done = subprocess.run(["dpkg-query", "-S", pattern], capture_output=True, text=True, check=False)
    return {part.split(":")[0].strip() for line in done.stdout.splitlines()
            for part in line.split(": ")[0].split(",")}


def test_libraries_of_the_build_are_listed():
    packages, found = set(listed("build")), []
    for path in [ROOT / "meson.build", *(ROOT / "src").rglob("meson.build"),
                 *(ROOT / "tests/unit").rglob("meson.build")]:
        for name in re.findall(r"\bdependency\('([^']+)'", path.read_text()):
            if name != "threads" and not owner(f"*/{name}.pc") & packages:
                found.append(f"{path.relative_to(ROOT)}: no package of the group build has {name}.pc")
    check(not found, "\n" + "\n".join(found))


def test_names_exist():
    for group in ("build", "check", "test", "bench", "rig"):
        names = listed(group)
        check(names, f"the group {group} is empty")
        done = subprocess.run(["apt-cache", "show", "--no-all-versions", *names],
                              capture_output=True, text=True, check=False)
        unknown = set(names) - set(re.findall(r"^Package: (\S+)$", done.stdout, re.MULTILINE))
        check(not unknown, f"there are no packages {unknown}")


def test_an_unknown_group_is_an_error():
    fails(run(ROOT / "scripts/packages", "--list", "nosuch"), 2, "no group 'nosuch'")


@needs(root=True)
def test_without_root_what_is_missing_is_named():
    script = work() / "packages"
    text = (ROOT / "scripts/packages").read_text()
    script.write_text(text.replace("build  make ", "build  nosuch-package-1 "))
    script.chmod(0o755)
    found = as_user(script, "build", env={"TMPDIR": "/tmp"})
    equal(found.status, 0)
    contains(found.err, "nosuch-package-1")


@needs(root=True)
@private("mnt")
def test_services_are_held_and_let_go():
    """With apt-get replaced: the policy is there while it runs, and gone after a failure."""
    (work() / "sbin").mkdir()
    run("mount", "--bind", work() / "sbin", "/usr/sbin").ok()
    bin_folder = work() / "bin"
    bin_folder.mkdir()
    fake = bin_folder / "apt-get"
    fake.write_text('#!/bin/sh\necho "$@" >>"$LOG"\ncat /usr/sbin/policy-rc.d >>"$LOG"\nexit 1\n')
    fake.chmod(0o755)
    sleep = bin_folder / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    script = work() / "packages"
    script.write_text((ROOT / "scripts/packages").read_text()
                      .replace("build  make ", "build  nosuch-package-1 "))
    script.chmod(0o755)
    log = work() / "log"
    found = run(script, "build", env={"PATH": f"{bin_folder}:/usr/bin:/bin", "LOG": str(log)})
    fails(found, 1, "could not install")
    contains(log.read_text(), "exit 101")
    contains(log.read_text(), "nosuch-package-1")
    check(not list((work() / "sbin").iterdir()), "the policy was left behind")
