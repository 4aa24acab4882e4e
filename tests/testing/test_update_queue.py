"""The queue of updates against a model that is nothing but lists."""

from hypothesis import given
from hypothesis import strategies as st

from pyruntime.testing.update_queue import OFFSET_SLACK, UpdateQueue

FIRST = 100

steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 5)),
        st.tuples(st.just("poll"), st.integers(-3, 3)),
        st.tuples(st.just("far"), st.integers(OFFSET_SLACK + 1, 1000)),
        st.tuples(st.just("keep"), st.integers(1, 8)),
    ),
    max_size=40,
)


@given(steps)
def test_every_update_is_delivered_until_it_is_confirmed_and_never_after(program: list[tuple[str, int]]) -> None:
    queue = UpdateQueue(FIRST)
    model: list[int] = []
    pushed = 0
    for step, number in program:
        if step == "push":
            for _ in range(number):
                assert queue.push("message", b'{"message":{}}', 0.0) == FIRST + pushed
                model.append(FIRST + pushed)
                pushed += 1
            continue
        if step == "poll":
            offset = max(1, queue.head + number)
            model = [update_id for update_id in model if update_id >= offset]
            expected = model
        elif step == "far":
            offset = queue.tail + number
            expected = model
        else:
            offset = -number
            model = model[-number:]
            expected = model
        start = queue.confirm(offset, 0.0)
        assert [update.update_id for update in queue.read(start, 1000, 0.0)] == expected
        assert len(queue) == len(model)
    assert queue.pushed == pushed
