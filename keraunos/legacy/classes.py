"""Small classes of Keras 2 that code still names."""


class Reduction:
    """The names of the ways to reduce a loss; strings are used now."""

    AUTO = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        return ("auto", cls.NONE, cls.SUM, cls.SUM_OVER_BATCH_SIZE)

    @classmethod
    def validate(cls, key: str) -> None:
        if key not in cls.all():
            raise ValueError(f"A reduction is one of {', '.join(cls.all())}, got {key!r}.")
