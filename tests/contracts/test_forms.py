"""A change of what is stored comes with the step by which the next version reads what this one has written."""

import copy

import pytest

from chalicelib.engine.schema import FORMS, Forms, grown
from chalicelib.engine.stored import RecordCodec
from tools import forms


def other(body):
    """Stand for a step that turns an older form into the next one."""
    return body


def changed(kind, of_type, **members):
    """The known forms, but with other members of a type; None: it has none of that name."""
    known = copy.deepcopy(forms.written())
    for number in known[kind]:
        was = known[kind][number][of_type]
        known[kind][number][of_type] = {k: v for k, v in {**was, **members}.items() if v is not None}
    return known


def test_the_stored_forms_are_those_that_were_written():
    """A new member, another default: older versions, and records at rest, have the form of before."""
    assert forms.faults(forms.written()) == []
    assert forms.page() == forms.FILE.read_text(encoding="utf-8")


def test_every_record_has_its_form_in_the_list():
    """Each kind that a runner works on."""
    assert {one.kind for one in RecordCodec.__subclasses__()} <= set(forms.KINDS.values())
    assert FORMS.steps.keys() <= forms.KINDS.keys()


@pytest.mark.parametrize(
    "members",
    [{"tries": None}, {"tries": "int = 7"}, {"tries": "str"}, {"hours": "int = 0"}],
    ids=["one more", "another default", "another type", "one less"],
)
def test_a_form_does_not_change_without_a_step(members):
    """Nothing that `make docs` writes hides it: a form that is known stays as it is in the file."""
    known = changed("delivery", "Delivery", **members)

    assert [fault for fault in forms.faults(known) if "delivery is not form" in fault]
    assert forms.codec.parsed_json(forms.page(known)) == known


@pytest.mark.parametrize(
    ("members", "step", "right"),
    [
        ({"tries": None}, grown, True),
        ({"tries": "int = 7"}, grown, False),
        ({"hours": "int = 0"}, grown, False),
        ({"id": None}, grown, False),
        ({"tries": "int = 7"}, other, True),
        ({"hours": "int = 0"}, other, True),
    ],
)
def test_a_form_that_has_not_only_grown_needs_a_step_of_its_own(members, step, right):
    """A member without a default, and every member that is not as it was."""
    known = changed("delivery", "Delivery", **members)
    raised = Forms({**FORMS.steps, "delivery": (*FORMS.steps.get("delivery", ()), step)})
    known = forms.codec.parsed_json(forms.page(known, raised))

    assert (forms.faults(known, raised) == []) is right


@pytest.mark.parametrize(("kind", "of_type", "member"), [("Pin", "Pin", "source"), ("image", "SourceImage", "id")])
def test_what_has_no_number_or_is_named_by_its_body_can_only_grow(kind, of_type, member):
    """Nothing would take a step with the one, and a step would take the name from the other."""
    raised = Forms({**FORMS.steps, "image": (*FORMS.steps.get("image", ()), other)})
    for members in ({member: None}, {member: "int"}, {"hours": "int = 0"}):
        known = forms.codec.parsed_json(forms.page(changed(kind, of_type, **members), raised))
        assert [fault for fault in forms.faults(known, raised) if fault.startswith(kind)]
    assert forms.faults(forms.codec.parsed_json(forms.page(forms.written(), raised)), raised) == []
