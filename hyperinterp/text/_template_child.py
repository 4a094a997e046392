"""Fill in a chat template with the library's own sandboxed environment, under limits.

Runs as a process of its own: a template comes with a checkpoint, and a loop without an end or a
text without bounds must not cost more than this process. Reads one JSON document on stdin, writes
one on stdout.
"""

import importlib
import json
import sys

CLOCK = "datetime"  # where the library looks up the date
SECONDS, SECONDS_EACH = 20, 0.02
MEMORY = 2**30
LEAST_SIZE, GROWTH = 2**20, 20  # characters written at most: so many, and so many times the input


class _Date:
    """The date that templates are told: always the same, so that figures can be repeated."""

    @staticmethod
    def now():
        from datetime import UTC, datetime

        return datetime(2024, 7, 26, tzinfo=UTC)


def _limit(asked):
    try:
        import resource
    except ImportError:  # no such limits on this system; the parent's clock remains
        return
    size = sum(len(json.dumps(item["messages"])) for item in asked)
    seconds = int(SECONDS + SECONDS_EACH * len(asked))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + 100 * size, MEMORY + 100 * size))


def _rendered(given):
    library = importlib.import_module("transformers.utils.chat_template_utils")
    setattr(library, CLOCK, _Date)
    _limit(given["conversations"])
    texts = []
    for number, item in enumerate(given["conversations"]):
        try:
            found, _ = library.render_jinja_template(
                conversations=[item["messages"]],
                chat_template=given["template"],
                add_generation_prompt=item["prompt"],
                **given["tokens"],
            )
        except MemoryError:
            raise
        except Exception as error:  # whatever a template does wrong, it is the template's
            reason = f"{type(error).__name__}: {error}"
            return {"failed": number, "reason": " ".join(reason.split())[:300]}
        most = LEAST_SIZE + GROWTH * sum(len(m["content"]) for m in item["messages"])
        if len(found[0]) > most:
            return {"failed": number, "reason": f"it wrote {len(found[0])} characters"}
        texts.append(found[0])
    return {"texts": texts}


if __name__ == "__main__":
    json.dump(_rendered(json.load(sys.stdin)), sys.stdout)
