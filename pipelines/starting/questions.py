"""What a person is asked, and what is taken if nobody is there to answer.

Belongs here: asking with a proposal. Does not belong here: what is asked (`findings.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pipelines.declared.words import length, written
from resources.errors import InputError

MOST_TRIES: Final = 3

Echo = Callable[[str], None]
Prompt = Callable[[str, str], str]
"""Shows a question with a proposal, and returns what was typed, or the proposal."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks a person, or takes the proposals.

    Attributes:
        prompt: How to ask; None takes every proposal, and says so.
    """

    echo: Echo
    prompt: Prompt | None = None

    def choose(self, question: str, choices: Sequence[str], why: str) -> str:
        """One of the choices, of which the first is proposed because of `why`.

        Raises:
            InputError: If no answer is one, in `MOST_TRIES` tries.
        """
        if self.prompt is None or len(choices) == 1:
            self.echo(f"  {question} {choices[0]} ({why})")
            return choices[0]
        for _ in range(MOST_TRIES):
            answer = self.prompt(f"{question} One of {', '.join(choices)} ({why})", choices[0]).strip()
            if answer in choices:
                return answer
            self.echo(f"  {answer!r} is none of {', '.join(choices)}")
        raise _unanswered(question)

    def measure(self, question: str, proposed: timedelta, why: str) -> timedelta:
        """A length of time; one is proposed because of `why`.

        Raises:
            InputError: If no answer is one, in `MOST_TRIES` tries.
        """
        if self.prompt is None:
            self.echo(f"  {question} {written(proposed)} ({why})")
            return proposed
        for _ in range(MOST_TRIES):
            try:
                return length(self.prompt(f"{question} ({why})", written(proposed)))
            except ValueError as error:
                self.echo(f"  {error}")
        raise _unanswered(question)


def _unanswered(question: str) -> InputError:
    """A proposal that was not taken must not stand for an answer."""
    return InputError(
        f"No answer to the question {question!r} in {MOST_TRIES} tries, and nothing was written; start again"
    )
