"""shellcheck on the shell scripts, and Python that compiles."""
import ast
import subprocess

from lib import *
from source import ROOT, sample


def tracked():
    done = run("git", "-C", ROOT, "ls-files").ok()
    return [ROOT / name for name in done.lines() if (ROOT / name).is_file()]


def first_line(path):
    with open(path, "rb") as file:
        return file.readline().decode(errors="replace").strip()


def shell_faults(paths):
    # SC2013: words are meant. SC2187: busybox is written as dash. SC1091: sourced files.
    done = subprocess.run(["shellcheck", "-f", "gcc", "-e", "SC2013,SC2187,SC1091", *map(str, paths)],
                          capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_shell_scripts():
    paths = [path for path in tracked()
             if first_line(path) in ("#!/bin/sh", "#!/bin/bash", "#!/bin/busybox sh")]
    check(len(paths) >= 4, f"only {paths}")
    found = shell_faults(paths)
    check(not found, "\n" + "\n".join(found))


def test_python_scripts():
    for path in tracked():
        if path.suffix == ".py" or "python3" in first_line(path):
            ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_a_faulty_shell_script_is_seen():
    root = sample(work(), {"x.sh": "#!/bin/sh\nrm $1/*\n"})
    contains("\n".join(shell_faults([root / "x.sh"])), "SC2086")
