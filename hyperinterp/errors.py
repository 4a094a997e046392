"""The one exception family.

HyperinterpError                exit code
├── InputRefused                2    a file, name, option or text that we will not use
│   ├── UnsafeFile              2    a file that could run code, hang or exhaust memory
│   ├── CorruptFile             2    truncated, or a digest that does not match
│   └── MismatchedPair          2    two checkpoints that cannot be compared
├── UnsupportedModel            2    a family whose structure breaks a needed identity
├── NumericalFault              2    NaN or infinity, with the site, step or tensor name
└── OutOfResources              3    memory or disk, with advice

Every message is one line: what was wrong, what was expected, what was found.
"""


class HyperinterpError(Exception):
    """Base of every error that hyperinterp raises on purpose."""

    exit_code = 1


class InputRefused(HyperinterpError):
    """Something that the user named cannot be used."""

    exit_code = 2


class UnsafeFile(InputRefused):
    """Reading the file could run code, hang, or exhaust memory."""


class CorruptFile(InputRefused):
    """The file is truncated or its digest does not match."""


class MismatchedPair(InputRefused):
    """Two checkpoints differ in a way that makes a comparison meaningless."""


class UnsupportedModel(InputRefused):
    """The model's structure breaks an identity that a measure relies on."""


class NumericalFault(HyperinterpError):
    """A NaN or an infinity in a model or a run; the message names where it arose."""

    exit_code = 2


class OutOfResources(HyperinterpError):
    """Memory or disk ran out; the message says what would need less."""

    exit_code = 3
