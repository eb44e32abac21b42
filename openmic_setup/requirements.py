"""What openmic requires, and what of it this interpreter already has."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path


def read_requirements(*files: Path) -> list[str]:
    """The requirements in these files that apply to this Python, without comments and markers."""
    found = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            requirement, _, marker = line.partition("#")[0].partition(";")
            if requirement.strip() and _applies(marker.strip()):
                found.append(requirement.strip())
    return found


def _applies(marker: str) -> bool:
    if not marker:
        return True
    match = re.fullmatch(r"(python_version|sys_platform)\s*(\S+?)\s*[\"']([^\"']+)[\"']", marker)
    if not match:
        raise ValueError(f"a marker that this reader does not know: {marker}")
    name, operator, value = match.groups()
    if name == "sys_platform":
        return (sys.platform == value) == (operator == "==")
    return satisfies("{}.{}".format(*sys.version_info[:2]), operator + value)


def _release(version: str) -> tuple[int, ...]:
    """A version's numbers: 2.11.0+cu128 gives (2, 11)."""
    numbers = [int(number) for number in re.findall(r"\d+", re.split(r"\+|a|b|rc|\.?dev|\.?post", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def satisfies(version: str, specifier: str) -> bool:
    """Whether a version meets a specifier such as ``>=2.4,<2.14`` (numbers only; suffixes do not count)."""
    have = _release(version)
    for clause in filter(None, (part.strip() for part in specifier.split(","))):
        match = re.fullmatch(r"(>=|<=|==|!=|<|>)\s*([\w.+!-]+)", clause)
        if not match:
            raise ValueError(f"a version specifier that this reader does not know: {clause}")
        operator, want = match[1], _release(match[2])
        meets = {">=": have >= want, "<=": have <= want, "==": have == want, "!=": have != want}
        if not (meets | {"<": have < want, ">": have > want})[operator]:
            return False
    return True


def outside(requirements: list[str]) -> list[tuple[str, str]]:
    """Requirements of which another version is installed here than they allow, each with that version."""
    have = installed()
    versions = ((requirement, have.get(requirement_name(requirement))) for requirement in missing(requirements))
    return [(requirement, version) for requirement, version in versions if version is not None]


def is_older(version: str, requirement: str) -> bool:
    """Whether a version is below all that a requirement such as ``torch>=2.4,<2.14`` allows."""
    lowest = [clause.strip() for clause in _specifier(requirement).split(",") if not clause.strip().startswith("<")]
    return any(_release(version) < _release(clause) for clause in lowest if not clause.startswith("!"))


def missing(requirements: list[str]) -> list[str]:
    """Those of the requirements that are not installed here, or not in a version that they allow."""
    have = installed()
    lacking = []
    for requirement in requirements:
        version = have.get(requirement_name(requirement))
        if version is None or not satisfies(version, _specifier(requirement)):
            lacking.append(requirement)
    return lacking


def _specifier(requirement: str) -> str:
    """What follows the name: ``uvicorn[standard]>=0.34`` gives ``>=0.34``."""
    return re.sub(r"^[\w.-]+\s*(\[[^]]*\])?", "", requirement)


def requirement_name(requirement: str) -> str:
    """The normalised name in a requirement: ``Pydantic_Settings>=2.6`` gives ``pydantic-settings``."""
    match = re.match(r"[\w.-]+", requirement)
    if not match:
        raise ValueError(f"a requirement that this reader does not know: {requirement}")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def installed() -> dict[str, str]:
    """Every distribution that this interpreter finds, by its normalised name, with its version."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name and distribution.version:
            found.setdefault(requirement_name(name), distribution.version)  # the first on sys.path is the one imported
    return found
