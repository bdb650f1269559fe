"""Builds the sdist and the wheel, installs the wheel alone, and tries every example with it.

Run it as ``make package``; with ``python -m tests.packaging --programs .venv/bin`` the examples are
tried with an environment that is there already.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.packaging.readme import Example, examples
from tests.packaging.user import ROOT, Failure, User

CONSTRAINTS = str(ROOT / "constraints.txt")
SHIPPED = {
    "topologies": (".yaml",),
    "experiments": (".yaml", ".csv"),
    "experiments/site": (".txt",),
    "experiments/trainings": (".yaml",),
    "experiments/workloads": (".yaml",),
}


def main() -> int:
    """Run the check; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, help="bin of an environment, instead of a new one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clustersim-package-") as aside:
        try:
            programs = args.programs
            if programs is None:
                programs = install(build(Path(aside)), Path(aside) / "installed")
            try_examples(programs.resolve(), Path(aside) / "user")
        except Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    return 0


def build(folder: Path) -> Path:
    """Build the wheel of the working tree and that of its sdist; return the latter.

    Raises
    ------
    Failure
        If they differ, or do not have the files of the project.
    """
    with _reported("sdist and wheels"):
        clone = folder / "clone"
        clone.mkdir()
        for name in _tracked():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, clone / name)
        tools = folder / "tools"
        _pip("install", "--target", str(tools), "--constraint", CONSTRAINTS, "setuptools")
        hook = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
        _run([sys.executable, "-c", hook], cwd=clone, PYTHONPATH=str(tools))
        (sdist,) = folder.glob("*.tar.gz")
        for source, name in ((clone, "tree"), (sdist, "sdist")):
            _pip("wheel", "--no-deps", "--wheel-dir", str(folder / name), str(source))
    (tree,), (wheel,) = folder.glob("tree/*.whl"), folder.glob("sdist/*.whl")
    if _contents(tree) != _contents(wheel):
        differ = sorted(set(_contents(tree).items()) ^ set(_contents(wheel).items()))
        raise Failure(f"the wheel of the sdist differs: {[name for name, _ in differ][:20]}")
    _check_files(wheel, sdist)
    print(f"  {wheel.name}: {len(_contents(wheel))} files, {wheel.stat().st_size / 1e6:.1f} MB")
    return wheel


def _check_files(wheel: Path, sdist: Path) -> None:
    """Compare the files of the distributions with those of the project."""
    expected: dict[str, bytes] = {}
    for name in _tracked():
        if name.startswith("clustersim/"):
            expected[name] = (ROOT / name).read_bytes()
        elif name.endswith(SHIPPED.get(name.rpartition("/")[0], ("never",))):
            expected[f"clustersim/resources/{name}"] = (ROOT / name).read_bytes()
    found = {name: data for name, data in _contents(wheel).items() if ".dist-info/" not in name}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys()
                       if found.get(name) != expected.get(name))  # fmt: skip
        raise Failure(f"the wheel has not just the files of the project: {wrong[:20]}")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    absent = [name for name in _tracked() if not name.startswith(".") and name not in packed]
    if absent:
        raise Failure(f"the sdist lacks files of the project: {absent[:20]}")


def _tracked() -> list[str]:
    """Files of the project: those that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    message = _run(command, cwd=ROOT).split("\n")
    return [name for name in message if name and (ROOT / name).is_file()]


def _contents(wheel: Path) -> dict[str, bytes]:
    """Content of the files of a wheel, but of the one that lists them with their hashes."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/RECORD")]
        return {name: archive.read(name) for name in names}


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel in a new environment; return the folder of its programs."""
    with _reported("a new environment with the wheel alone"):
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        python = folder / "bin" / "python"
        _pip("--python", str(python), "install", "--constraint", CONSTRAINTS, str(wheel))
    return folder / "bin"


def try_examples(programs: Path, folder: Path) -> None:
    """Try the examples of the README, and those of the help texts beside them."""
    readme = examples((ROOT / "README.md").read_text(encoding="utf-8"))
    users = [User(programs, folder / name, name) for name in ("README.md", "help")]
    with _reported("examples"), ThreadPoolExecutor(2) as both:
        tried = [
            both.submit(users[0].try_all, readme),
            both.submit(_try_help, users[1]),
        ]
        failed = [attempt.exception() for attempt in tried]
    for user in users:
        print("\n".join(f"  {line}" for line in user.message))
    for error in failed:
        if error is not None:
            raise error


def _try_help(user: User) -> None:
    """Try the examples of the help texts of all commands, and every schema."""
    message = user.run("clustersim --help", "help")
    commands = re.findall(r"^    ([a-z][a-z-]+) ", message, re.MULTILINE)
    if len(commands) < 10:
        raise Failure(f"clustersim --help lists no commands: {message}")
    user.run("clustersim --version", "help")
    texts = {command: user.run(f"clustersim {command} --help", command) for command in commands}
    for command in sorted(commands, key=lambda name: name not in ("replay", "study")):
        found = re.findall(
            r"^(?:\s*example:)?\s*(clustersim [a-z].*)$", texts[command], re.MULTILINE
        )
        if not found:
            raise Failure(f"clustersim {command} --help has no example")
        user.try_all(Example(0, "command", text) for text in found if "--from" not in text)
    schemas = re.search(r"\{([\w,-]+)\}", texts["schema"])
    for name in schemas[1].split(",") if schemas else ():
        user.run(f"clustersim schema {name}", "schema")
    user.run("clustersim run --from out/load --run HASH --out redone", "run")


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    _run(command)


def _run(command: list[str], cwd: Path | None = None, **environment: str) -> str:
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise Failure(f"{' '.join(command)}\n{ended.stdout[-1500:]}\n{ended.stderr[-1500:]}")
    return ended.stdout


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Print how long something takes."""
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
