"""The one exception a user meets: it says what came, what is accepted, and what to do."""


class PoseglotError(Exception):
    """Something outside our code is wrong: a file, a setting, a missing package. The message is for the user.

    The command line prints it without a traceback; everything else is a defect of ours and keeps its traceback.
    """
