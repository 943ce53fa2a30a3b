"""Rules of the queue resource that two check: the API server in CEL, before the resource is kept, and Python when it is read.

The two stand beside each other in the models and share one sentence, so that a mistake reads alike everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to hold, in CEL; the validator that stands beside it says the same in Python."""

    holds: str
    """In CEL. `self` is the value that the rule belongs to."""
    sentence: str
    """For who broke it, with `{names}` where the values go."""
    values: Mapping[str, str] = field(default_factory=dict)
    """In CEL, what each of those names stands for."""

    def says(self, **values: object) -> str:
        """The sentence in Python, with its values. Text in it stays on its line, whatever is in the text."""
        shown = {name: repr(value)[1:-1] if isinstance(value, str) else value for name, value in values.items()}
        return self.sentence.format(**shown)

    @property
    def schema(self) -> dict[str, JsonValue]:
        """The rule as an entry of `x-kubernetes-validations`."""
        if not self.values:
            return {"message": self.sentence, "rule": self.holds}
        # By `format`, as the API server estimates the cost of every rule beforehand: of `+` it fears the worst.
        names = [name for _, name, _, _ in Formatter().parse(self.sentence) if name]
        text = json.dumps(self.sentence.format_map(dict.fromkeys(names, "%s")), ensure_ascii=False)
        return {
            "messageExpression": f"{text}.format([{', '.join(self.values[name] for name in names)}])",
            "rule": self.holds,
        }


def checked_by(*rules: Rule) -> dict[str, JsonValue]:
    """For `json_schema_extra` of a model or a field: the rules that the API server checks there."""
    return {"x-kubernetes-validations": [rule.schema for rule in rules]}
