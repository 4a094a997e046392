"""Notes for the report on the reading of texts."""

from hyperinterp.text.chat import Chat
from hyperinterp.text.rows import TokenRows
from hyperinterp.text.stream import TokenStream


def notes(rows: TokenRows | TokenStream, chat: Chat) -> list[str]:
    """One line for each thing that a reader has to know of these rows."""
    found = []
    if rows.begins:
        found.append(
            f"{rows.begins} texts begin with the begin token that the tokenizer adds itself: each "
            "is read with one."
        )
    if rows.conversations:
        found.append(
            f"{rows.conversations} of {len(rows)} texts are read as conversations, for every model "
            f"in the chat template of {chat.owner} (sha256 {chat.sha256[:12]}); its tokens are "
            "measured with the others, and a prompt is all of it up to the answer."
        )
    if rows.long:
        found.append(
            f"{rows.long} conversations do not fit into {rows.length} tokens, even with the last "
            "message cut, and were left out."
        )
    return found
