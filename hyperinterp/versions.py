"""Versions of the packages that figures and weights depend on."""

from importlib.metadata import PackageNotFoundError, version


def version_of(package: str) -> str:
    """Return the version of an installed package; "not installed" in a plain checkout."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
