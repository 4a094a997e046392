"""The one exception family.

HyperinterpError                exit code
├── InputRefused                2    a file, name, option or text that we will not use
│   ├── UnsafeFile              2    a file that could run code, hang or exhaust memory
│   ├── CorruptFile             2    truncated, or a digest that does not match
│   ├── MismatchedPair          2    two checkpoints that cannot be compared
│   └── UnsupportedModel        2    a family whose structure breaks a needed identity
├── NumericalFault              2    NaN or infinity, with the site, step or tensor name
└── OutOfResources              3    memory or disk, with advice

Every message is one line: what was wrong, what was expected, what was found, and after a semicolon
the way out. A kind of error that has one way out for all its cases names it here; a message with a
semicolon of its own has its own.
"""


class HyperinterpError(Exception):
    """Base of every error that hyperinterp raises on purpose."""

    exit_code = 1
    way_out = ""

    def __str__(self) -> str:
        told = super().__str__()
        return f"{told}; {self.way_out}" if self.way_out and "; " not in told else told


class InputRefused(HyperinterpError):
    """Something that the user named cannot be used."""

    exit_code = 2


class UnsafeFile(InputRefused):
    """Reading the file could run code, hang, or exhaust memory."""

    way_out = "fetch it as safetensors with a plain config, from a source that you trust"


class CorruptFile(InputRefused):
    """The file is truncated or its digest does not match."""

    way_out = "fetch it or write it again"


class MismatchedPair(InputRefused):
    """Two checkpoints differ in a way that makes a comparison meaningless."""

    way_out = "name checkpoints that come from one base model"


class UnsupportedModel(InputRefused):
    """The model's structure breaks an identity that a measure relies on."""

    way_out = "choose a decoder of another family, such as Llama, Qwen or GPT-2"


class NumericalFault(HyperinterpError):
    """A NaN or an infinity in a model or a run; the message names where it arose."""

    exit_code = 2
    way_out = "try float32, or an earlier checkpoint"


class OutOfResources(HyperinterpError):
    """Memory or disk ran out; the message says what would need less."""

    exit_code = 3


_WORDS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def memory_ran_out(error: BaseException) -> bool:
    """Return whether an error means that the memory of the machine or of a card ran out.

    Python, torch's allocators, and the libraries that a card computes with (cuBLAS, cuSOLVER,
    cuDNN: a status that ends in ALLOC_FAILED) say it in words of their own.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)
