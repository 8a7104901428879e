"""What can go wrong, told in one sentence a user can act on."""


class InputError(ValueError):
    """The user's input cannot be used; the text says what is wrong, with which input, and what to do."""


class JobFailed(RuntimeError):
    """A job ended without a result for a reason other than its input; the text is one sentence."""


class Cancelled(Exception):
    """The user cancelled the job."""
