"""A chat as plain text, as base models read it, and the text that it is routed by."""

from __future__ import annotations

from collections.abc import Sequence

from speciate.specialists.server.protocol import Message

NAMES = {"user": "User", "assistant": "Assistant"}
END_OF_ANSWER = "\nUser:"  # a model that goes on with the user's turn has finished its own


def chat_text(messages: Sequence[Message]) -> str:
    """The text that the model continues: instructions as they are, then each turn behind its speaker's name.

    >>> turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a law?"}]
    >>> print(chat_text([Message.model_validate(turn) for turn in turns]))
    Be brief.
    <BLANKLINE>
    User: What is a law?
    Assistant:
    """
    lines = []
    for message in messages:
        if message.role in NAMES:
            lines.append(f"{NAMES[message.role]}: {message.text.strip()}\n")
        else:
            lines.append(f"{message.text.strip()}\n\n")
    return "".join(lines) + "Assistant:"


def routed_by(messages: Sequence[Message]) -> str:
    """What the users said, in order: a conversation stays with one expert, as its beginning decides.

    >>> turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a law?"}]
    >>> routed_by([Message.model_validate(turn) for turn in turns])
    'What is a law?'
    """
    said = [message.text.strip() for message in messages if message.role == "user"]
    return "\n".join(said or [message.text.strip() for message in messages])
