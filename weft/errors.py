"""The errors that a user can see. Each says what is wrong, where, and what would work."""


def counted(count: int, noun: str) -> str:
    """``1 lane``, ``2 lanes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class WeftError(Exception):
    """Base of all of weft's user-facing errors; ``exit_code`` is the command line's.

    Members: ``at``, what it is about (a node, a file; None: nothing nearer), ``why`` it is refused,
    and ``remedies``, what would work. The message is made of them here and nowhere else.
    """

    exit_code = 1

    def __init__(self, why: str, *, at: object = None, remedy: str | tuple[str, ...] = ()):
        self.at, self.why = at, why
        self.remedies = (remedy,) if isinstance(remedy, str) else remedy
        super().__init__(self.text if at is None else f"{at}: {self.text}")

    @property
    def text(self) -> str:
        """The message where it is known what it is about."""
        return "; ".join((self.why, *self.remedies))


class ModelError(WeftError):
    """The model cannot be taken as it is."""


class ConfigError(WeftError):
    """An option, a board file, a data file or a build directory is not usable."""


class FitError(WeftError):
    """The network does not fit the board or the pinned engine."""

    exit_code = 2


class ToolError(WeftError):
    """An outside tool is missing or failed."""

    exit_code = 3


REPORT = (
    "this is a fault of weft: please report it with this message, the command, the model and the "
    "board; nothing was written"
)


class InternalError(WeftError):
    """Weft found itself to be wrong. The message ends with what to report (``REPORT``)."""

    exit_code = 70  # sysexits.h: an internal software error

    def __init__(self, found: str):
        super().__init__(found, remedy=REPORT)
