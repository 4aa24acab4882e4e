"""Views read like the dicts behind them, by attribute."""

from __future__ import annotations

import copy
import doctest
import pickle
from typing import Any

import pytest
import ujson
from hypothesis import given
from hypothesis import strategies as st

import pyruntime.entity
import pyruntime.view
from pyruntime import View
from pyruntime.view import ViewList

RAW: dict[str, Any] = {
    "message_id": 5,
    "from": {"id": 7, "username": "u"},
    "entities": [{"type": "url", "offset": 0, "length": 3}],
    "forum_topic_closed": {},
    "brand_new_field": {"x": 1},
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_fields_read_as_attributes_at_every_depth() -> None:
    view = View(RAW)
    assert view.message_id == 5
    assert view.from_user.username == "u"
    assert view.entities[0].type == "url"
    assert [entity.length for entity in view.entities] == [3]
    assert view.brand_new_field.raw == {"x": 1}


def test_an_absent_field_is_none_and_a_misspelt_one_an_error() -> None:
    view = View(RAW)
    assert view.caption is None
    assert View({}).from_user is None
    with pytest.raises(AttributeError, match="'captoin'"):
        _ = view.captoin
    assert not hasattr(view, "_private")
    assert view.get("newer_than_the_table") is None
    assert view.get("newer_than_the_table", 3) == 3
    assert view.get("from").id == 7


def test_an_empty_object_is_there_and_therefore_true() -> None:
    assert View(RAW).forum_topic_closed
    assert View(RAW).forum_topic_reopened is None


def test_a_view_behaves_like_the_dict_behind_it() -> None:
    view = View(RAW)
    assert view["from"]["id"] == 7
    assert "from" in view
    assert "to" not in view
    assert list(view) == list(RAW)
    assert len(view) == len(RAW)
    assert view == RAW
    assert view == View(dict(RAW))
    assert view != {"other": 1}
    assert view != 5
    assert view.raw is RAW
    assert repr(view) == f"View({RAW!r})"
    assert "from_user" in dir(view)
    with pytest.raises(KeyError):
        view["to"]
    with pytest.raises(TypeError):
        hash(view)
    with pytest.raises(AttributeError):
        view.text = "no"


def test_a_list_view_behaves_like_the_list_behind_it() -> None:
    entities = View(RAW).entities
    assert isinstance(entities, ViewList)
    assert entities == RAW["entities"]
    assert entities == ViewList(list(RAW["entities"]))
    assert entities != 3
    assert entities[-1] == RAW["entities"][-1]
    assert entities[0:1] == RAW["entities"]
    assert len(entities) == 1
    assert RAW["entities"][0] in entities
    assert entities.raw is RAW["entities"]
    assert repr(entities) == f"ViewList({RAW['entities']!r})"
    with pytest.raises(TypeError):
        hash(entities)


@given(st.dictionaries(st.text(), json_values))
def test_copies_and_pickles_are_equal_views(raw: dict[str, Any]) -> None:
    view = View(raw)
    assert pickle.loads(pickle.dumps(view)) == view
    assert copy.copy(view).raw is raw
    deep = copy.deepcopy(view)
    assert deep == view
    assert deep.raw is not raw or not raw
    assert ujson.loads(ujson.dumps({"view": view})) == {"view": ujson.loads(ujson.dumps(raw))}


def test_a_list_view_pickles_and_encodes() -> None:
    entities = View(RAW).entities
    assert pickle.loads(pickle.dumps(entities)) == entities
    assert ujson.loads(ujson.dumps(entities)) == RAW["entities"]


@pytest.mark.parametrize("module", [pyruntime.view, pyruntime.entity])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
