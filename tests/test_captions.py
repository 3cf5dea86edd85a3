"""data_gen.grammar and captions: what describe writes, parse reads back."""

import re

import numpy as np
import pytest

from data_gen import FAMILIES, WorldError, describe, make_clip, parse
from data_gen.families import NUMBERS
from data_gen.grammar import Grammar, Reader

SIZES = ((24, 40), (32, 32), (56, 32), (64, 64))


def scenes(family, count):
    for seed in range(count):
        rng = np.random.default_rng((NUMBERS[family], 0, seed))
        frames = (17, 33, 1, 5, 9)[seed % 5]
        yield seed, FAMILIES[family].sample(rng, SIZES[seed % 4], frames, ("train", "heldout")[seed // 4 % 2])


@pytest.mark.parametrize("family", FAMILIES)
def test_parse_reads_back_what_describe_writes(family):
    for seed, scene in scenes(family, 200):
        facts, short = FAMILIES[family].facts(scene), describe(scene, seed)
        told = parse(short)
        assert told and {key: facts.get(key) for key in told} == told, short
        assert len(short.split()) < 15, short
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", short), short
        assert parse("  " + short.upper() + ". ") == told
        long = describe(scene, seed, long=True)
        assert parse(long) == facts, long
        if family != "shapes-simple":
            assert 60 <= len(long.split()) <= 135, long


@pytest.mark.parametrize("family", FAMILIES)
def test_every_fact_has_several_wordings(family):
    scene = make_clip(family, 0).scene
    assert len({describe(scene, seed) for seed in range(200)}) > (5 if family.startswith("bounce-") else 20)


@pytest.mark.parametrize(
    "text", ["", "a dog runs", "a red circle moves left left", "red " * 1000, "\x00", "🙂"]
)
def test_other_text_does_not_parse_and_the_nearest_does(text):
    with pytest.raises(WorldError, match="nearest that does is") as caught:
        parse(text)
    nearest = re.search(r"nearest that does is ['\"](.*)['\"]$", str(caught.value))[1]
    try:
        assert parse(nearest)
    except WorldError as error:  # a sentence of a long caption, that needs one before it
        assert "does not say of what" in str(error)


def test_the_nearest_is_near():
    with pytest.raises(WorldError, match="'a red circle moves left'"):
        parse("a red circle mvoes left")
    with pytest.raises(WorldError, match=r"'an orange circle mvoes left' .* 'an orange circle moves left'"):
        parse("an orange circle mvoes left")


def test_contradictions_are_refused():
    with pytest.raises(WorldError, match="contradicts itself on the motion of red"):
        parse("A red circle moves left. A red circle moves right.")


def test_a_colour_is_one_body():
    with pytest.raises(WorldError, match="stands twice"):
        parse("a white ring moves left, a white ring moves left")


def test_families_do_not_mix_wherever_the_odd_sentence_stands():
    with pytest.raises(WorldError, match="mixes"):
        parse("A red circle moves left. The green agent walks about. A blue square moves right.")


def test_sentences_without_their_subject_are_refused():
    with pytest.raises(WorldError, match="does not say of what"):
        parse("It starts in the upper left.")


def test_a_grammar_of_three_lines():
    grammar = Grammar(
        "pets",
        {"color": {"red": ("red", "scarlet")}, "sound": {"miaow": ("miaows",)}},
        {"short": ("a {color} cat {sound}",), "then": ("the {color} cat {sound}",)},
        events={"then": ("color", "sound")},
    )
    facts = {("red", "sound"): "miaow"}
    text = grammar.write("short", np.random.default_rng(0), facts, "red")
    assert text in ("a red cat miaows", "a scarlet cat miaows")
    read = Reader([grammar]).read(f"{text}. Then the red cat miaows.")
    assert read == {
        ("red", "sound"): "miaow",
        ("scene", "events"): (("then", "red", "miaow"),),
        ("scene", "family"): "pets",
        ("scene", "count"): 1,
    }
    with pytest.raises(LookupError):
        grammar.write("short", np.random.default_rng(0), {}, "red")
