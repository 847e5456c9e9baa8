"""Manual pages: one for each program that is started by hand or by engines, and all well-formed."""
import json
import subprocess

from lib import *
from source import ROOT, sample

HEADS = ["NAME", "SYNOPSIS", "DESCRIPTION"]


def pages(root=ROOT):
    return sorted(path for path in (root / "docs/man").iterdir() if path.suffix[1:] in list("1578"))


def faults(path):
    """What groff warns of, and the sections that are missing."""
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", str(path)], capture_output=True,
                          text=True, check=False)
    text = path.read_text(encoding="utf-8")
    return done.stderr.splitlines() + [f"{path.name}: no section {head}" for head in HEADS
                                       if f".SH {head}" not in text]


def test_pages_are_well_formed():
    found = [line for path in pages() for line in faults(path)]
    check(not found, "\n" + "\n".join(found))


def test_programs_have_a_page():
    done = run("meson", "introspect", "--targets", BUILD).ok()
    programs = {target["name"] for target in json.loads(done.out)
                if target["type"] == "executable" and target["installed"]}
    missing = programs - {path.stem for path in pages()}
    check(not missing, f"no manual page: {', '.join(sorted(missing))}")


def test_a_faulty_page_is_seen():
    root = sample(work(), {"docs/man/x.1": ".TH x 1\n.SH NAME\nx\n.SH SYNOPSIS\n.nosuch\n"})
    found = "\n".join(faults(root / "docs/man/x.1"))
    contains(found, "nosuch")
    contains(found, "no section DESCRIPTION")
