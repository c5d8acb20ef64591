"""For the API reference, whose reader of code (griffe) does not know `frozen_record`."""

from typing import Any

import griffe


class FrozenRecords(griffe.Extension):
    """Adds the constructor that `frozen_record` makes of a class's fields."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Adds `__init__`; griffe calls this when it has read a class."""
        decorators = [str(decorator.value) for decorator in cls.decorators]
        if "frozen_record" not in decorators:
            return
        fields = [
            griffe.Parameter(
                name,
                annotation=field.annotation,
                kind=griffe.ParameterKind.keyword_only,
                default=field.value,
            )
            for name, field in cls.members.items()
            if isinstance(field, griffe.Attribute) and field.annotation is not None
        ]
        this = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
        constructor = griffe.Function(
            "__init__", parameters=griffe.Parameters(this, *fields), returns="None"
        )
        cls.set_member("__init__", constructor)
