"""Flat programs, assembled with binutils, on build/viv-cpu."""
import json
import pathlib

from .asserts import check
from .process import program, run

__all__ = ["Flat", "Stop", "FAULTS", "DE", "DB", "BP", "OF", "BR", "UD", "NM", "DF", "TS", "NP", "SS", "GP",
           "PF", "MF", "AC", "XM"]

BASE = 0x10000
FAULTS = {"DE": 0, "DB": 1, "BP": 3, "OF": 4, "BR": 5, "UD": 6, "NM": 7, "DF": 8, "TS": 10, "NP": 11,
          "SS": 12, "GP": 13, "PF": 14, "MF": 16, "AC": 17, "XM": 19}
DE, DB, BP, OF, BR, UD, NM, DF, TS, NP, SS, GP, PF, MF, AC, XM = FAULTS.values()


class Stop:
    """What viv-cpu --json printed, with numbers as numbers."""

    def __init__(self, text):
        self.json = json.loads(text)
        self.reason = self.json["stop"]
        self.fault = (self.json.get("vector"), self.json.get("error_code"))
        self.instructions = self.json["instructions"]
        self.registers = {name: int(value, 16) for name, value in self.json["registers"].items()}
        self.unknown = self.json["unknown"]

    def __getattr__(self, name):
        try:
            return self.__dict__["registers"][name]
        except KeyError:
            raise AttributeError(name) from None

    def memory(self, address, size=8):
        """The numbers of that many bytes from a dumped address on."""
        data = bytes.fromhex(self.json["memory"][hex(address)])
        return [int.from_bytes(data[at:at + size], "little") for at in range(0, len(data), size)]

    def __str__(self):
        return f"{self.reason} {self.fault} after {self.instructions} instructions: {self.registers}"


class Flat:
    """Assembler text (GNU as, Intel's order) as a flat binary at BASE, and its labels."""

    def __init__(self, source, base=BASE):
        folder = pathlib.Path(f"flat-{base:x}")
        folder.mkdir(exist_ok=True)
        path = (folder / "source.s").resolve()
        path.write_text(".intel_syntax noprefix\n" + source + "\n", encoding="utf-8")
        run("as", "-mnaked-reg", "-o", path.with_suffix(".o"), path).ok()
        run("ld", "-e", "0", "-N", f"-Ttext={base:#x}", "-o", path.with_suffix(".elf"),
            path.with_suffix(".o")).ok()
        run("objcopy", "-O", "binary", path.with_suffix(".elf"), path.with_suffix(".bin")).ok()
        names = run("nm", path.with_suffix(".elf")).ok().lines()
        self.label = {line.split()[2]: int(line.split()[0], 16) for line in names}
        self.path, self.base = path.with_suffix(".bin"), base

    def run(self, entry, *options, mode=64, reg=None, mem=None):
        """From that label to a stop. reg: names to values; mem: addresses to bytes."""
        more = [part for name, value in (reg or {}).items() for part in ("--reg", f"{name}={value:#x}")]
        more += [part for at, data in (mem or {}).items() for part in ("--mem", f"{at:#x}={data.hex()}")]
        done = run(program("viv-cpu"), "--json", "--mode", mode, "--load", f"{self.path}@{self.base:#x}",
                   "--entry", hex(self.label[entry]), "--max", 100000, *more, *options).ok()
        return Stop(done.out)

    def faults(self, entry, vector, code, **more):
        """It stops with that exception, at the label at_ENTRY if there is one."""
        stop = self.run(entry, **more)
        check((stop.reason, stop.fault) == ("fault", (vector, code)),
              lambda: f"{entry}: expected fault {vector}, error code {code}; found {stop}")
        at = self.label.get(f"at_{entry}", stop.rip)
        check(stop.rip == at, lambda: f"{entry}: expected a fault at {at:#x}; found {stop}")
        return stop

    def halts(self, entry, *options, **more):
        stop = self.run(entry, *options, **more)
        check(stop.reason == "hlt", lambda: f"{entry}: expected to reach HLT; found {stop}")
        return stop
