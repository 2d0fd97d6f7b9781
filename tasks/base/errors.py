"""The errors of the data half, of two kinds, because a caller has two choices: to try again or not."""


class SluiceError(Exception):
    """An error to report to a person; its message is written for that person."""


class PermanentError(SluiceError):
    """Trying again cannot help: a wrong recipe, a damaged file, a full disk."""


class UsageError(PermanentError):
    """The command line or the recipe is wrong: nothing was run."""


class TemporaryError(SluiceError):
    """Trying again later may help: a busy server, a cut connection, a lost worker."""
