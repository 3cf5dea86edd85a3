"""The verdict: what a caption says against what is seen, attribute by attribute."""

from dataclasses import dataclass

from .board import ACTIONS, read_actions
from .captions import parse
from .families import FAMILIES
from .scene import WorldError

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")  # of eight colours


@dataclass(frozen=True)
class Report:
    """A verdict: each attribute right or wrong, and why in words where wrong."""

    attributes: dict[str, bool]
    why: tuple[str, ...]

    @property
    def ok(self):
        return all(self.attributes.values())


def check(video, caption, actions=None):
    """Compare what is seen with what a caption, or a dictionary of facts, says: a Report.

    video: uint8 (T, H, W, 3); actions: for the play family, the T - 1 actions that were taken. A
    clip that is nearly right is not right: every fact that is told must be seen, and nothing may
    flicker, wobble, vanish or appear. Raises WorldError for what cannot be read.
    """
    told = caption if isinstance(caption, dict) else parse(caption)
    name = told.get(("scene", "family"))
    if not isinstance(name, str) or name not in FAMILIES:
        raise WorldError(f"facts name their family under ('scene', 'family'); {name!r} is none")
    if not all(isinstance(key, tuple) and len(key) == 2 for key in told):
        raise WorldError("each fact has a name of two parts: of what, and which, as in ('red', 'shape')")
    if len({subject for subject, _ in told} - {"scene"}) > len(ORDINALS):
        raise WorldError(f"facts tell of {len(ORDINALS)} bodies at most, as there are no more colours")
    taken = None if actions is None else read_actions(actions)
    if taken is None and actions is not None:
        raise WorldError(f"actions are a list, each one of {', '.join(ACTIONS)}, not {actions!r}")
    if taken and name != "play":
        raise WorldError(f"only clips of the play family have actions, not those of {name}")
    see = FAMILIES[name].see
    seen, trouble = see(video, taken) if name == "play" else see(video)
    return compare(told, seen, trouble)


def compare(told, seen, trouble):
    """The Report on facts told and seen; trouble: what is wrong whatever is told, in words."""
    subjects = list(dict.fromkeys(s for s, _ in told if s != "scene"))
    strangers = [s for s in dict.fromkeys(s for s, _ in seen if s != "scene") if s not in subjects]
    stands_for, attributes, why = {}, {}, []
    count, wanted = seen.get(("scene", "count")), told.get(("scene", "count"))
    attributes["count"] = wanted is None or count == wanted
    if not attributes["count"]:
        why.append(
            f"there {'are' if count and count > 1 else 'is'} {count or 'nothing'} to see, not {wanted}"
        )
    attributes["color"] = True
    for i, subject in enumerate(subjects):
        stands_for[subject] = subject
        if any(s == subject for s, _ in seen):
            continue
        attributes["color"] = False
        name = "the body" if len(subjects) == 1 else f"the {ORDINALS[i]} body"
        if strangers:
            agree = {
                s: sum(seen.get((s, a)) == v for (t, a), v in told.items() if t == subject) for s in strangers
            }
            stands_for[subject] = max(strangers, key=agree.get)
            strangers.remove(stands_for[subject])
            why.append(f"{name} is {stands_for[subject]}, not {subject}")
        else:
            why.append(f"there is no single {subject} body")
    for (subject, attribute), value in told.items():
        if attribute in ("family", "count"):
            continue
        found = seen.get((stands_for.get(subject, subject), attribute))
        found = next((s for s, other in stands_for.items() if attribute == "over" and other == found), found)
        attributes[attribute] = attributes.get(attribute, True) and found == value
        if found != value:
            what = f"the {attribute}" if subject == "scene" else f"the {subject} body's {attribute}"
            why.append(f"{what} is {in_words(found)}, not {in_words(value)}")
    attributes["steady"] = not trouble
    return Report(attributes, tuple(why) + tuple(trouble))


def in_words(value):
    """A fact's value as a person would read it."""
    if value is None:
        return "not clear"
    if isinstance(value, tuple):
        return "; then ".join(" ".join(str(part) for part in event) for event in value) or "nothing"
    return str(value)
