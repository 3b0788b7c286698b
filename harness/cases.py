"""What a ruling is about, a variant on a phone at a resolution or frame; and the plan of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness import baselines, goldens, samples, subjects, text
from harness.budgets import Budget
from harness.earlier import Earlier
from harness.errors import BlessedDataError, ConfigError
from harness.images import Size
from harness.keys import Key
from harness.profiles import Target
from harness.subjects import Subject, Variant
from harness.text import counted


@dataclass(frozen=True, kw_only=True)
class Case:
    """A variant on a phone through one delegate.

    Attributes:
        target: Phone and delegate.
        subject: The restoration model.
        variant: The exported file, with the limits that count on the delegate.
        withheld: Why the variant does not ship here though it is tested, or ''.
        revision: What an earlier variant is of, such as `origin/main`; '' for today's.
        before: The same variant as it was, where a change is judged against that; else None.
        earlier: What an earlier run found of it, where a change is judged against that; else None.
    """

    target: Target
    subject: Subject
    variant: Variant
    withheld: str = ""
    revision: str = ""
    before: "Case | None" = None
    earlier: Earlier | None = field(default=None, repr=False)

    @property
    def key(self) -> Key:
        """Return the names."""
        return Key(
            device=self.target.profile.name,
            delegate=self.target.delegate,
            subject=self.subject.name,
            variant=self.variant.name,
            revision=self.revision,
        )

    def __repr__(self) -> str:
        """Return its names."""
        return text.repr_of(self, str(self))

    def __str__(self) -> str:
        """Return `pixel4:nnapi-deblur_unet.int8_ptq`."""
        of = f"@{self.revision}" if self.revision else ""
        return f"{self.target}-{self.subject.name}.{self.variant.name}{of}"

    def at(self, size: Size) -> "SizedCase":
        """Return the case at a resolution."""
        return SizedCase(
            target=self.target,
            subject=self.subject,
            variant=self.variant,
            withheld=self.withheld,
            revision=self.revision,
            before=self.before,
            earlier=self.earlier,
            size=size,
        )

    def by_budget(self) -> list["SizedCase"]:
        """Return a case for each resolution that has a budget of its own, smallest first."""
        key = self.key
        budgets = self.subject.budgets_of(key.device, key.delegate, key.variant)
        return [self.at(Size.parse(budget.resolution)) for budget in budgets]

    def by_size(self, *, blessed: bool = False) -> list["SizedCase"]:
        """Return a case for each resolution that has a budget; else those of any budget or frame.

        Args:
            blessed: Whether to add the resolutions that have baselines.
        """
        sizes = {case.size for case in self.by_budget()}
        sizes = sizes or {Size.parse(budget.resolution) for budget in self.subject.budgets}
        if not sizes:
            sizes = {goldens.size_of(self.subject, name) for name in samples.names(self.subject)}
        if blessed:
            sizes |= _blessed_sizes(self)
        return [self.at(size) for size in sorted(sizes, key=lambda s: s.megapixels)]

    def by_frame(self) -> list["FrameCase"]:
        """Return a case for each golden frame, those that were blessed and are gone included.

        A subject without frames has one case, of no frame, so that its lack is said.

        Raises:
            ConfigError: the subject has neither frames that can be read nor budgets.
        """
        known = {name: _size_of(self.subject, name) for name in goldens.expected(self.subject)}
        others = [size for size in known.values() if size is not None]
        others += [Size.parse(budget.resolution) for budget in self.subject.budgets]
        if not others:
            raise ConfigError(
                f"{self.subject.folder}: has neither frames nor budgets; nothing can be tested"
            )
        sizes = {name: size or others[0] for name, size in known.items()} or {"": others[0]}
        return [
            FrameCase(
                target=self.target,
                subject=self.subject,
                variant=self.variant,
                withheld=self.withheld,
                revision=self.revision,
                before=self.before,
                earlier=self.earlier,
                size=size,
                frame=name,
            )
            for name, size in sizes.items()
        ]


@dataclass(frozen=True, kw_only=True, repr=False)
class SizedCase(Case):
    """A variant on a phone at one resolution.

    Attributes:
        size: The resolution.
    """

    size: Size

    @property
    def key(self) -> Key:
        """Return the names."""
        return Key(**{**vars(super().key), "resolution": str(self.size)})

    def __str__(self) -> str:
        """Return `pixel4:nnapi-deblur_unet.int8_ptq-1280x720`."""
        return f"{super().__str__()}-{self.size}"

    @property
    def run_size(self) -> Size:
        """Return the resolution at which the model runs: a tile's, where there are tiles."""
        return self.subject.run_size(self.size)

    @property
    def budget(self) -> Budget:
        """Return the budget of the resolution; without one, every op must be accelerated."""
        key = self.key
        for budget in self.subject.budgets_of(key.device, key.delegate, key.variant):
            if Size.parse(budget.resolution) == self.size:
                return budget
        return Budget(
            devices=(key.device,),
            delegates=(key.delegate,),
            variants=(key.variant,),
            resolution=key.resolution,
            source="no [[budgets]] entry: no latency limit, every op on the accelerator",
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class FrameCase(SizedCase):
    """A variant on a phone on one golden frame, at the frame's resolution.

    Attributes:
        frame: Name of the golden frame; '' where the subject has none.
    """

    frame: str

    @property
    def key(self) -> Key:
        """Return the names."""
        return Key(**{**vars(super().key), "frame": self.frame})

    def __str__(self) -> str:
        """Return `pixel4:nnapi-deblur_unet.int8_ptq-rocket`."""
        return f"{Case.__str__(self)}-{self.frame or 'no_frame'}"


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """A variant that does not ship to a phone, and is not tested there.

    Attributes:
        target: Phone and delegate, such as `pixel4:nnapi`.
        variant: Subject and variant, such as `deblur_unet.int8_ptq`.
        because: Why.
    """

    target: str
    variant: str
    because: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be tested, and what is not and why.

    Attributes:
        cases: Each variant on each phone that it ships to, or that is asked for by name.
        withheld: The others.
    """

    cases: tuple[Case, ...]
    withheld: tuple[Withheld, ...]

    def __repr__(self) -> str:
        """Return the counts."""
        return text.repr_of(
            self, f"{counted(len(self.cases), 'case')}, {len(self.withheld)} withheld"
        )


def plan(found: Sequence[Subject], targets: Sequence[Target], pattern: str = "*") -> Plan:
    """Return the cases of subjects on targets.

    Args:
        found: The subjects.
        targets: Phones and delegates.
        pattern: `SUBJECT[.VARIANT]`; a variant that is spelled out is tested even where it does
            not ship.
    """
    cases, withheld = [], []
    for target in targets:
        for subject, variant, by_name in _wanted(found, pattern):
            because = subject.withheld_because(target.profile.name, target.delegate, variant.name)
            if because is not None and not by_name:
                label = f"{subject.name}.{variant.name}"
                withheld.append(Withheld(target=str(target), variant=label, because=because))
                continue
            cases.append(
                Case(
                    target=target,
                    subject=subject,
                    variant=variant.on(target.delegate),
                    withheld=because or "",
                )
            )
    return Plan(cases=tuple(cases), withheld=tuple(withheld))


def before(case: Case, earlier: Subject | None, revision: str) -> Case | None:
    """Return a case as it was, or None where the earlier subject has no such variant.

    Args:
        case: The case today.
        earlier: Its subject as it was, or None where there was none.
        revision: What the earlier subject is of.
    """
    for variant in earlier.variants if earlier else ():
        if earlier is not None and variant.name == case.variant.name:
            return Case(
                target=case.target,
                subject=earlier,
                variant=variant.on(case.target.delegate),
                revision=revision,
            )
    return None


def _wanted(found: Sequence[Subject], pattern: str) -> Iterator[tuple[Subject, Variant, bool]]:
    for subject in found:
        for variant in subject.variants:
            asked, by_name = subjects.wanted(variant.name, pattern)
            if asked:
                yield subject, variant, by_name


def _size_of(subject: Subject, name: str) -> Size | None:
    """Return the resolution of a frame; None where the test has to say what is wrong with it."""
    try:
        return goldens.size_of(subject, name)
    except BlessedDataError:
        return None


def _blessed_sizes(case: Case) -> set[Size]:
    """Return the resolutions at which something was accepted for a case."""
    about = case.key
    try:
        accepted = baselines.load(case.subject)
    except ConfigError:
        return set()  # each test that asks for baselines says what is wrong with them
    return {
        Size.parse(b.resolution)
        for b in accepted
        if (b.variant, b.device, b.delegate) == (about.variant, about.device, about.delegate)
    }
