"""What of a conversation a model is shown when its context is too short for all of it."""

from collections.abc import Sequence

from model.base.errors import BadInput
from model.data.chat_format import ChatFormat, Message


def fitting_prompt(
    chat: ChatFormat, messages: Sequence[Message], context: int, max_new_tokens: int
) -> tuple[list[int], int]:
    """Return the prompt of a conversation without its oldest exchanges, if need be, and how many messages they had.

    An exchange is a user's message and all that follows up to the next one, so no answer is left without its question;
    system messages stay. Room is kept for a reply of `max_new_tokens`, but for no more than a quarter of the context.

    Raises BadInput if the last exchange alone leaves no room for a reply.
    """
    wanted = min(max_new_tokens, context // 4)
    starts = [at for at, message in enumerate(messages) if message.role == "user"]
    prompt, dropped = chat.prompt(messages), 0
    for start in starts[1:]:
        if len(prompt) + wanted <= context:
            break
        scene = [message for message in messages[:start] if message.role == "system"]
        prompt, dropped = chat.prompt([*scene, *messages[start:]]), start - len(scene)
    if len(prompt) >= context:
        raise BadInput(
            f"the message has {len(prompt)} tokens with what belongs to it, and the model's context is {context}; "
            "shorten it"
        )
    return prompt, dropped
