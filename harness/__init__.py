"""Test on-device image-restoration models against the phones they ship to.

From Python, `load` reads a model, `connect` reaches a phone, `plan` and `judge` work on a golden
folder as `pytest --device` does, and `inspect` compares phones. Each is imported when it is first
used, so that `import harness` costs nothing.
"""

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from harness.api import connect, inspect, judge, load, plan
else:

    def __getattr__(name: str) -> object:
        """Import what is offered when it is first used."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from harness import api

        return getattr(api, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"
__all__ = ["__version__", "connect", "inspect", "judge", "load", "plan"]
