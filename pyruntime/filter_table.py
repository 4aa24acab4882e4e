"""What a filter query may say: for each kind of update its fields, and for some of them what can be asked further."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["FIELD_SHORTCUTS", "KIND_SHORTCUTS", "QUERIES", "Detail"]


class Detail(NamedTuple):
    """What the third part of a query asks of a field.

    Attributes:
        mode: ``type``: the object's ``type`` is the name; ``field``: the object has a field of that name; ``user``:
            the same of a user, and ``me`` means this bot.
        names: the names that may be asked for.
    """

    mode: Literal["type", "field", "user"]
    names: tuple[str, ...]


_ENTITY_TYPES: Final = """
    mention hashtag cashtag bot_command url email phone_number bold italic underline strikethrough spoiler blockquote
    expandable_blockquote code pre text_link text_mention custom_emoji date_time
    """
_ENTITY: Final = Detail("type", tuple(_ENTITY_TYPES.split()))
_USER: Final = Detail("user", ("me", "is_bot", "is_premium", "added_to_attachment_menu"))
_ORIGIN: Final = Detail("type", ("user", "hidden_user", "chat", "channel"))
_REACTION: Final = Detail("type", ("emoji", "custom_emoji", "paid"))

_MESSAGE_FIELDS: Final = """
    message_thread_id direct_messages_topic sender_chat sender_boost_count sender_business_bot sender_tag guest_query_id
    business_connection_id is_topic_message is_automatic_forward reply_to_message external_reply quote reply_to_story
    reply_to_checklist_task_id reply_to_poll_option_id guest_bot_caller_user guest_bot_caller_chat edit_date
    has_protected_content is_from_offline is_paid_post media_group_id author_signature paid_star_count text
    suggested_post_info effect_id rich_message animation audio document live_photo paid_media photo story video
    video_note voice caption show_caption_above_media has_media_spoiler checklist contact dice game poll venue location
    chat_owner_left chat_owner_changed new_chat_title new_chat_photo delete_chat_photo group_chat_created
    supergroup_chat_created channel_chat_created message_auto_delete_timer_changed migrate_to_chat_id
    migrate_from_chat_id pinned_message invoice successful_payment refunded_payment users_shared chat_shared gift
    unique_gift gift_upgrade_sent connected_website write_access_allowed passport_data proximity_alert_triggered
    boost_added chat_background_set checklist_tasks_done checklist_tasks_added direct_message_price_changed
    forum_topic_created forum_topic_closed forum_topic_reopened general_forum_topic_hidden general_forum_topic_unhidden
    giveaway_created giveaway giveaway_winners giveaway_completed managed_bot_created paid_message_price_changed
    poll_option_added poll_option_deleted suggested_post_approved suggested_post_approval_failed suggested_post_declined
    suggested_post_paid suggested_post_refunded video_chat_scheduled video_chat_started video_chat_ended
    video_chat_participants_invited web_app_data reply_markup
    """

_MESSAGE: Final[dict[str, Detail | None]] = {
    **dict.fromkeys(_MESSAGE_FIELDS.split()),
    "from": _USER,
    "via_bot": _USER,
    "new_chat_members": _USER,
    "left_chat_member": _USER,
    "entities": _ENTITY,
    "caption_entities": _ENTITY,
    "forward_origin": _ORIGIN,
    "sticker": Detail("field", ("is_video", "is_animated", "premium_animation")),
    "link_preview_options": Detail("field", ("url", "prefer_small_media", "prefer_large_media", "show_above_text")),
    "forum_topic_edited": Detail("field", ("name", "icon_custom_emoji_id")),
}


def _fields(names: str, **details: Detail) -> dict[str, Detail | None]:
    return {**dict.fromkeys(names.split()), **details}


_MEMBER: Final = {
    **_fields("invite_link via_join_request via_chat_folder_invite_link"),
    "from": _USER,
}

QUERIES: Final[dict[str, dict[str, Detail | None]]] = {
    "message": _MESSAGE,
    "edited_message": _MESSAGE,
    "channel_post": _MESSAGE,
    "edited_channel_post": _MESSAGE,
    "business_connection": _fields("can_reply is_enabled rights"),
    "business_message": _MESSAGE,
    "edited_business_message": _MESSAGE,
    "deleted_business_messages": {},
    "guest_message": _MESSAGE,
    "message_reaction": _fields("user actor_chat", old_reaction=_REACTION, new_reaction=_REACTION),
    "message_reaction_count": _fields("", reactions=_REACTION),
    "inline_query": _fields("chat_type location"),
    "chosen_inline_result": _fields("location inline_message_id"),
    "callback_query": _fields("data game_short_name message inline_message_id"),
    "shipping_query": {},
    "pre_checkout_query": _fields("shipping_option_id order_info"),
    "purchased_paid_media": {},
    "poll": _fields("is_closed is_anonymous explanation"),
    "poll_answer": _fields("voter_chat user"),
    "my_chat_member": _MEMBER,
    "chat_member": _MEMBER,
    "chat_join_request": _fields("bio invite_link"),
    "chat_boost": {},
    "removed_chat_boost": {},
    "managed_bot": {},
}
"""Kind -> field -> what can be asked of the field (None: only whether it is there)."""

KIND_SHORTCUTS: Final = {
    "": ("message", "channel_post"),
    "msg": ("message", "channel_post"),
    "edit": ("edited_message", "edited_channel_post"),
}

FIELD_SHORTCUTS: Final = {
    "": ("entities", "caption_entities"),
    "media": ("photo", "video"),
    "file": ("photo", "animation", "audio", "document", "video", "video_note", "voice", "sticker"),
}
