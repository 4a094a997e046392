"""Names of texts: what to say where nothing has that name."""

import difflib
from pathlib import Path


def missing(name: str | Path, what: str) -> tuple[str, str]:
    """Return the refusal of a name without a file, and what to do; a text is told from a name.

    Args:
        name: what was given.
        what: what it was given for.
    """
    text = str(name)
    path = Path(text)
    if isinstance(name, str) and looks_like_text(text):
        return (
            f"{what}: expected a file, a data set or a list of texts, found one string that names "
            f"no file, {text!r:.60}"
        ), "put it in a list to read it as a text, [...]"
    if path.exists():
        return (
            f"{path}: expected a regular file or a directory, found something else (a pipe or a "
            "device)"
        ), "write it to a file first"
    return f"{path}: expected a file of texts, found nothing there", nearby(path)


def looks_like_text(text: str) -> bool:
    """Tell a sentence from a name: several words, or lines, and nothing of that name."""
    return "\n" in text or (len(text.split()) > 3 and not Path(text).suffix[1:].isalnum())


def nearby(path: Path) -> str:
    """Return close names where a name leads to nothing, or the first part that is missing."""
    folder = path.parent
    try:
        if not folder.is_dir():
            return f"there is no directory {folder}, so correct the path"
        names = [item.name for item in folder.iterdir()]
    except OSError:
        return "check the path"
    stems = {Path(name).stem: name for name in names}
    close = difflib.get_close_matches(path.name, names, 3, 0.6)
    close += [stems[stem] for stem in difflib.get_close_matches(path.stem, stems, 2, 0.75)]
    found = ", ".join(str(folder / name) for name in dict.fromkeys(close))
    return f"did you mean {found}?" if found else f"check the name ({folder} holds nothing like it)"
