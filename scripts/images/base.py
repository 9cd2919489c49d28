"""Base image for the check: a Debian made with debootstrap, in place of the public image, which needs a registry."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts.images.commands import output, run
from scripts.images.folders import remove_folder

SUITE = "bookworm"  # its python3 is 3.11
PACKAGES = ("ca-certificates", "python3", "python3-venv")
DEFAULT_SOURCES = (
    f"http://deb.debian.org/debian {SUITE} main",
    f"http://deb.debian.org/debian {SUITE}-updates main",
    f"http://deb.debian.org/debian-security {SUITE}-security main",
)


@dataclass(frozen=True)
class Sources:
    """Mirrors of Debian's packages."""

    lines: tuple[str, ...]  # "URI SUITE COMPONENT", the suite itself first

    @property
    def mirror(self) -> str:
        """URI of the suite itself."""
        return self.lines[0].split()[0]

    @property
    def file(self) -> str:
        """Text of a sources.list."""
        return "".join(f"deb {line}\n" for line in self.lines)


def sources() -> Sources:
    """Debian's sources as this machine's apt is configured; the public ones if it has none of `SUITE`."""
    if shutil.which("apt-get") is None:
        return Sources(DEFAULT_SOURCES)
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(LABEL)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], capture_output=True, text=True
    )
    return parse_sources(listed.stdout)


def parse_sources(listed: str) -> Sources:
    """Select the lines "URI RELEASE COMPONENT LABEL" of Debian's `SUITE`, its updates and its security updates."""
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    found = {
        f"{row[0].rstrip('/')} {row[1]} {row[2]}"
        for row in rows
        if len(row) == 4
        and re.fullmatch(rf"{SUITE}(-updates|-security)?", row[1])
        and row[2] == "main"
        and row[3].startswith("Debian")
    }
    ordered = tuple(sorted(found, key=lambda line: (len(line.split()[1]), line)))
    return Sources(ordered) if ordered and ordered[0].split()[1] == SUITE else Sources(DEFAULT_SOURCES)


def make_base(archive: Path, log: Path) -> None:
    """Write the root file system of a minimal Debian with Python to a tar file. Does nothing if the file is there.

    Raises:
        CheckFailed: debootstrap failed.
    """
    if archive.is_file():
        print(f"Base: {archive} is there.", flush=True)
        return
    chosen = sources()
    root = archive.with_suffix("")
    remove_folder(root)  # of a check that was interrupted
    run(
        f"Making the base, Debian {SUITE}, with debootstrap from {chosen.mirror}",
        ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root, chosen.mirror],
        log,
    )
    (root / "etc" / "apt" / "sources.list").write_text(chosen.file)
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    (root / "var" / "cache" / "apt" / "archives" / "partial").mkdir()
    partial = archive.with_suffix(".partial")
    output(["tar", "-C", root, "--exclude=./dev/*", "-cf", partial, "."])
    partial.rename(archive)
    remove_folder(root)
