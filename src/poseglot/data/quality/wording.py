"""What was found in a clip, in words that need no table beside them: the same in a text, on a picture and in their headings."""

from __future__ import annotations

from collections.abc import Iterable

from poseglot.data.quality.clip_checks import CHECKS, Finding

# Units of `CHECKS` as one says them: of one and of more.
_COUNTS = {
    "coordinates": ("coordinate", "coordinates"),
    "frames": ("frame", "frames"),
    "joints": ("joint", "joints"),
    "people": ("person", "people"),
    "clips": ("clip", "clips"),
}
_SHARES = ("of the frames", "of their length")
_MEASURES = {
    "bodies a frame": "bodies in a frame",
    "bodies": "bodies apart",
    "robust z": "standard deviations from the set's median",
}


def counted(count: int, one: str, more: str = "") -> str:
    """`1 clip`, `1,484 clips`; `more` where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def value_in_words(finding: Finding) -> str:
    """The value of a finding, with its unit: `1 frame`, `26.9 % of their length`, `2.695 bodies in a frame`."""
    unit, value = CHECKS[finding.what].unit, finding.value
    if unit in _COUNTS:
        return counted(int(value), *_COUNTS[unit])
    if unit in _SHARES:
        return f"{100 * value:.1f} % {unit}"
    return f"{value:{',.0f' if value >= 1000 else '.4g'}} {_MEASURES[unit]}"


def finding_in_words(finding: Finding) -> str:
    """A finding in one line, without the clip; with the limit, where the limit is more than "any at all"."""
    check = CHECKS[finding.what]
    limit = f"{100 * finding.limit:g} %" if check.unit in _SHARES else f"{finding.limit:g}"
    said = f" (limit {limit})" if "{limit}" in check.words else ""
    return f"{finding.what}: {value_in_words(finding)}{said}{', ' if finding.where else ''}{finding.where}"


def found_clips(findings: Iterable[Finding]) -> set[str]:
    """The names of all clips that are worth a look, those with the content of another among them."""
    return {name for finding in findings for name in (finding.clip, *finding.others)}
