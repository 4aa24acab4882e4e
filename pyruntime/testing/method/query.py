"""Answer queries of users: button presses, inline and payment queries."""

from pyruntime.testing.method.registry import Arguments, Refused, bad_request, method
from pyruntime.testing.world import World

_TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


def _answer(world: World, arguments: Arguments, kind: str, id_name: str) -> bool:
    if not world.answer_query(kind, arguments.text(id_name), arguments.values):
        raise bad_request(_TOO_OLD)
    return True


@method("answerCallbackQuery")
def answer_callback_query(world: World, arguments: Arguments) -> bool:
    """Answer the press of an inline button."""
    if len(arguments.text("text")) > 200:
        raise Refused(400, "Bad Request: MESSAGE_TOO_LONG")
    return _answer(world, arguments, "callback_query", "callback_query_id")


@method("answerInlineQuery")
def answer_inline_query(world: World, arguments: Arguments) -> bool:
    """Answer an inline query with at most 50 results."""
    results = arguments.json("results")
    if not isinstance(results, list):
        raise bad_request("can't parse inline query results: expected an Array")
    if len(results) > 50:
        raise Refused(400, "Bad Request: RESULTS_TOO_MUCH")
    return _answer(world, arguments, "inline_query", "inline_query_id")


@method("answerShippingQuery")
def answer_shipping_query(world: World, arguments: Arguments) -> bool:
    """Answer a shipping query."""
    return _answer(world, arguments, "shipping_query", "shipping_query_id")


@method("answerPreCheckoutQuery")
def answer_pre_checkout_query(world: World, arguments: Arguments) -> bool:
    """Answer a pre-checkout query."""
    return _answer(world, arguments, "pre_checkout_query", "pre_checkout_query_id")


@method("answerWebAppQuery")
def answer_web_app_query(world: World, arguments: Arguments) -> dict[str, str]:
    """Answer a query of a web app."""
    if not arguments.text("web_app_query_id"):
        raise bad_request("query ID is empty")
    return {"inline_message_id": f"inline{world.next_number()}"}
