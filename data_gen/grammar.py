"""One grammar, read in both directions: `write` puts facts into a sentence, `read` gets them back.

A sentence plan is a text with slots, "a {size} {color} {shape} {motion}". A slot's table has the
phrases for each value; a digit tells the bodies of one sentence apart ("{color} passes in front of
{color2}"). `write` draws the plan and the phrases; `read` turns the same plans into one regular
expression, so neither can know a word that the other does not.

Facts are a dictionary {(subject, attribute): value}; the subject is a body's colour or "scene".
What happens in order is one fact, ("scene", "events"): a tuple of (name, value, ...).
"""

import difflib
import functools
import re
from dataclasses import dataclass, field

from .scene import WorldError

SCENE_SLOTS = {"count", "background", "camera", "amount", "gravity", "restitution", "hidden", "by"}
ORDER = ("first,", "then", "next,", "after that,", "later,")  # may stand before an event
COLOR_SLOTS = ("color", "color2", "color3", "color4")
SLOT = re.compile(r"{([a-z]+)(\d?)}")


def pick(rng, options):
    """One of options, through rng.random() alone: its stream is the same in every numpy."""
    return options[int(rng.random() * len(options))]


def shuffle(rng, items):
    """Put a list in another order, through rng.random() alone."""
    for i in range(len(items) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        items[i], items[j] = items[j], items[i]


@dataclass(frozen=True)
class Grammar:
    """The words of one family.

    tables: slot -> {value: phrases}; plans: name -> sentence plans; events: the names among plans
    whose sentence is an event, each with the slots that make its tuple.
    """

    family: str
    tables: dict
    plans: dict
    events: dict = field(default_factory=dict)

    def write(self, name, rng, facts, *subjects, **values):
        """One sentence of plans[name] about the subjects (colours), without capital or full stop.

        Values are taken from facts, or given by name; a plan is chosen among those whose slots all
        have one. Raises LookupError where there is none.
        """

        def value(slot, digit):
            if slot + digit in values:
                return values[slot + digit]
            if slot in SCENE_SLOTS:
                return facts.get(("scene", slot))
            subject = subjects[int(digit or 1) - 1] if int(digit or 1) <= len(subjects) else None
            return subject if slot == "color" else facts.get((subject, slot))

        able = [p for p in self.plans[name] if all(value(*slot) is not None for slot in SLOT.findall(p))]
        if not able:
            raise LookupError(f"no plan of {name!r} can be filled")
        text = SLOT.sub(lambda m: pick(rng, self.tables[m[1]][value(m[1], m[2])]), pick(rng, able))
        return re.sub(r"\ba (?=[aeiou])", "an ", text)


class Reader:
    """Reads what the grammars can write."""

    def __init__(self, grammars):
        self.plans, patterns, seen = [], [], {}
        for grammar in grammars:
            for name, plans in grammar.plans.items():
                for plan in plans:
                    tables = (id(grammar.tables[slot]) for slot, _ in SLOT.findall(plan))
                    families = seen.setdefault((plan, *tables), [])
                    families.append(grammar.family)
                    if len(families) == 1:
                        self.plans.append((grammar, name, plan, families))
                        patterns.append(self._pattern(len(self.plans) - 1, grammar, plan))
        self._regex = re.compile("|".join(patterns))
        self._order = re.compile(f"^(?:{'|'.join(ORDER)}) ")
        self.nearest = functools.lru_cache(256)(self.nearest)  # a video is judged piece by piece

    @staticmethod
    def _pattern(index, grammar, plan):
        def group(match):
            phrases = sorted({p for words in grammar.tables[match[1]].values() for p in words}, key=len)
            return f"(?P<s{index}_{match[1]}{match[2]}>{'|'.join(map(re.escape, reversed(phrases)))})"

        parts = re.split(r"({[a-z]+\d?})", plan)
        text = "".join(SLOT.sub(group, part) if part[:1] == "{" else re.escape(part) for part in parts)
        return f"(?P<p{index}>{text})"

    def read(self, caption):
        """The facts of a caption; WorldError, with the nearest that can be read, where there are none."""
        text = " ".join(caption.lower().split()).strip(" .")
        facts, events, families, subjects = {}, [], None, ()
        for sentence in text.split(". "):
            plain = self._order.sub("", re.sub(r"\ban (?=[aeiou])", "a ", sentence), count=1)
            match = self._regex.fullmatch(plain) if sentence else None
            if not match:
                near = re.sub(r"\ba (?=[aeiou])", "an ", self.nearest(sentence))
                shown = sentence if len(sentence) <= 60 else sentence[:57] + "..."
                raise WorldError(f"{shown!r} does not parse; the nearest that does is {near!r}")
            grammar, name, plan, possible = self.plans[int(match.lastgroup[1:])]
            families = [f for f in (possible if families is None else families) if f in possible]
            values = {}
            for slot, digit in SLOT.findall(plan):
                phrase = match[f"s{match.lastgroup[1:]}_{slot}{digit}"]
                values[slot + digit] = next(v for v, words in grammar.tables[slot].items() if phrase in words)
            if "color" in values:
                subjects = tuple(values[key] for key in COLOR_SLOTS if key in values)
                if len(set(subjects)) < len(subjects):
                    raise WorldError(f"a colour names one body; in {sentence!r} one stands twice")
            if name in grammar.events:
                events.append((name, *(values[slot] for slot in grammar.events[name] if slot in values)))
            for key, value in values.items():
                if value is None:
                    continue
                slot, digit = key.rstrip("123456789"), int(key[len(key.rstrip("123456789")) :] or 1)
                if slot == "color" or key in grammar.events.get(name, ()):
                    continue
                if slot not in SCENE_SLOTS and digit > len(subjects):
                    raise WorldError(f"the caption does not say of what {sentence!r} tells")
                key = ("scene" if slot in SCENE_SLOTS else subjects[digit - 1], slot)
                if facts.setdefault(key, value) != value:
                    raise WorldError(f"the caption contradicts itself on the {slot} of {key[0]}")
        if not families:
            raise WorldError("the caption mixes sentences of different scene families")
        if events:
            facts["scene", "events"] = tuple(events)
        facts["scene", "family"] = families[0]
        named = {subject for subject, _ in facts} - {"scene"}
        if named:
            facts.setdefault(("scene", "count"), len(named))
        return facts

    def nearest(self, sentence):
        """A sentence that can be read and shares the most with this one."""
        text = sentence[:200]
        words = text.split()

        def closeness(phrase):
            return sum(
                1 if part in words else 0.5 * bool(difflib.get_close_matches(part, words, 1, 0.7))
                for part in phrase.split()
            ) / (1 + len(phrase.split()))

        def fill(match, tables):
            return max((p for phrases in tables[match[1]].values() for p in phrases), key=closeness)

        plain = [SLOT.sub(lambda m, g=grammar: fill(m, g.tables), plan) for grammar, _, plan, _ in self.plans]
        return difflib.get_close_matches(text, plain, n=1, cutoff=0)[0]
