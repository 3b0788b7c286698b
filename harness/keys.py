"""The names of what is ruled on, measured or accepted."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Key:
    """The names of what a ruling, an accepted fact or a measurement is about.

    Attributes:
        device: Name of the profile.
        delegate: The delegate.
        subject: Name of the subject; '' where no subject is asked about.
        variant: Name of the variant; '' likewise.
        resolution: Such as `1280x720`; '' where it is about several.
        frame: Name of the golden frame, or ''.
        revision: What an earlier variant is of, such as `origin/main`; '' for today's.
    """

    device: str
    delegate: str
    subject: str = ""
    variant: str = ""
    resolution: str = ""
    frame: str = ""
    revision: str = ""
