"""The field names of all Bot API types (Bot API 10.1), by which a view tells an absent field from a typing error.

A name that is newer than this table works where it is present; where it is absent, `View.get` gives None.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIELDS"]

_NAMES: Final = """
    accent_color_id accepted_gift_types active_usernames actor_chat add_date added_by_chat added_by_user
    added_to_attachment_menu added_users addition_date additional_chat_count address affiliate affiliate_chat
    affiliate_user align allow_bot_chats allow_channel_chats allow_group_chats allow_sending_without_reply
    allow_user_chats allowed_updates allows_multiple_answers allows_revoting allows_users_to_create_topics
    alternative_text amount anchor_name animation are_direct_messages_enabled audio audio_duration audio_file_id
    audio_url audios author_signature available_reactions backdrop background background_color
    background_custom_emoji_id bank_card_number base_name big_file_id big_file_unique_id bio birthdate blocks
    boost boost_added boost_count boost_id boosts bot bot_administrator_rights bot_command bot_is_member
    bot_username bottom_color business_connection business_connection_id business_intro business_location
    business_message business_opening_hours button_text callback_data callback_game callback_query
    can_add_web_page_previews can_be_edited can_be_transferred can_be_upgraded can_change_gift_settings
    can_change_info can_connect_to_business can_convert_gifts_to_stars can_delete_all_messages
    can_delete_messages can_delete_sent_messages can_delete_stories can_edit_bio can_edit_messages can_edit_name
    can_edit_profile_photo can_edit_stories can_edit_tag can_edit_username can_invite_users can_join_groups
    can_manage_bots can_manage_chat can_manage_direct_messages can_manage_stories can_manage_tags
    can_manage_topics can_manage_video_chats can_pin_messages can_post_messages can_post_stories
    can_promote_members can_react_to_messages can_read_all_group_messages can_read_messages can_reply
    can_restrict_members can_send_audios can_send_documents can_send_messages can_send_other_messages
    can_send_paid_media can_send_photos can_send_polls can_send_video_notes can_send_videos can_send_voice_notes
    can_set_sticker_set can_transfer_and_upgrade_gifts can_transfer_stars can_view_gifts_and_stars caption
    caption_entities cashtag cells center_color channel_chat_created channel_post chat chat_background_set
    chat_boost chat_has_username chat_id chat_instance chat_is_channel chat_is_created chat_is_forum
    chat_join_request chat_member chat_owner_changed chat_owner_left chat_shared chat_type chats checklist
    checklist_message checklist_task_id checklist_tasks_added checklist_tasks_done chosen_inline_result city
    close_date closing_minute codec color colors colspan command comment commission_per_mille completed_by_chat
    completed_by_user completion_date connected_website contact convert_star_count copy_text
    corner_radius_percentage correct_option_ids country_code country_codes cover cover_frame_timestamp
    creates_join_request creator credentials credit currency current_level_rating custom_emoji_id
    custom_emoji_sticker_set_name custom_title dark_theme_dimming dark_theme_main_color dark_theme_other_colors
    data data_hash date date_time_format day delete_chat_photo deleted_business_messages description
    description_entities dice direct_message_price_changed direct_message_star_count direct_messages_topic
    disable_content_type_detection distance document document_file_id document_url duration edge_color edit_date
    edited_business_message edited_channel_post edited_message effect_id element_hash email email_address emoji
    emoji_list emoji_status_custom_emoji_id emoji_status_expiration_date entities expiration_date expire_date
    explanation explanation_entities explanation_media expression external_reply field_name file_date file_hash
    file_hashes file_id file_name file_path file_size file_unique_id files fill first_name first_profile_audio
    force_reply format forum_topic_closed forum_topic_created forum_topic_edited forum_topic_reopened
    forward_origin forward_text foursquare_id foursquare_type from from_attachment_menu from_request front_side
    game game_short_name general_forum_topic_hidden general_forum_topic_unhidden gif_duration gif_file_id
    gif_height gif_url gif_width gift gift_id gift_upgrade_sent gifts gifts_from_channels giveaway
    giveaway_completed giveaway_created giveaway_message giveaway_message_id giveaway_winners google_place_id
    google_place_type group_chat_created guard_bot guest_bot_caller_chat guest_bot_caller_user guest_message
    guest_query_id has_aggressive_anti_spam_enabled has_checkbox has_colors has_custom_certificate
    has_hidden_members has_main_web_app has_media_spoiler has_private_forwards has_protected_content
    has_public_winners has_restricted_voice_and_video_messages has_spoiler has_topics_enabled
    has_visible_history hash hashtag heading height height_percentage horizontal_accuracy html icon_color
    icon_custom_emoji_id id inline_keyboard inline_message_id inline_query input_field_placeholder
    input_message_content intensity invite_link invoice invoice_payload ip_address is_access_restricted
    is_animated is_animation is_anonymous is_automatic_forward is_blurred is_bordered is_bot is_burned
    is_checked is_closed is_dark is_direct_messages is_disabled is_enabled is_first_recurring is_flexible
    is_flipped is_forum is_from_blockchain is_from_offline is_header is_inverted is_manual is_member is_moving
    is_name_implicit is_open is_paid_post is_persistent is_premium is_primary is_private is_recurring is_revoked
    is_rtl is_saved is_star_giveaway is_striped is_topic_message is_unclaimed is_upgrade_separate is_video items
    join_by_request join_to_send_messages keyboard keywords label language language_code last_error_date
    last_error_message last_name last_resale_amount last_resale_currency last_synchronization_error_date
    latitude left_chat_member length level light_theme_main_color light_theme_other_colors limited_gifts link
    link_preview_options linked_chat_id live_period live_photo location login_url longitude main_frame_timestamp
    managed_bot managed_bot_created markdown marked_as_done_task_ids marked_as_not_done_task_ids mask_position
    max_connections max_quantity max_reaction_count max_tip_amount media media_group_id member_limit
    members_only message message_auto_delete_time message_auto_delete_timer_changed message_id message_ids
    message_reaction message_reaction_count message_text message_thread_id migrate_from_chat_id
    migrate_to_chat_id mime_type model model_custom_emoji_id month mpeg4_duration mpeg4_file_id mpeg4_height
    mpeg4_url mpeg4_width my_chat_member name nanostar_amount need_email need_name need_phone_number
    need_shipping_address needs_repainting new_chat_member new_chat_members new_chat_photo new_chat_title
    new_owner new_reaction next_level_rating next_offset next_transfer_date number offset old_chat_member
    old_reaction one_time_keyboard only_new_members open_period opening_hours opening_minute option_ids
    option_persistent_id option_persistent_ids option_text option_text_entities options order_info origin
    others_can_add_tasks others_can_mark_tasks_as_done owned_gift_id paid_media paid_media_payload
    paid_message_price_changed paid_message_star_count paid_star_count parent_chat parse_mode passport_data pay
    payload pending_join_request_count pending_update_count performer permissions persistent_id personal_chat
    personal_remaining_count personal_total_count phone_number photo photo_file_id photo_height photo_size
    photo_url photo_width photos pinned_message point poll poll_answer poll_id poll_message poll_option_added
    poll_option_deleted poll_option_id position post_code pre_checkout_query prefer_large_media
    prefer_small_media premium_animation premium_subscription premium_subscription_duration
    premium_subscription_month_count prepaid_upgrade_star_count price prices prize_description prize_star_count
    profile_accent_color_id profile_background_custom_emoji_id provider_data provider_payment_charge_id
    provider_token proximity_alert_radius proximity_alert_triggered publisher_chat purchased_paid_media
    qualities query query_id question question_entities quote quote_entities quote_parse_mode quote_position
    rarity rarity_per_mille rating reaction_type reactions reason receiver reference_name refunded_payment
    remaining_count remove_date remove_keyboard removed_chat_boost reply_markup reply_to_checklist_task_id
    reply_to_message reply_to_poll_option_id reply_to_story request_chat request_contact request_count
    request_id request_location request_managed_bot request_name request_photo request_poll request_title
    request_username request_users request_write_access resize_keyboard result_id retry_after reverse_side
    rich_message rights rotation_angle rowspan scale score secret selective selfie send_date
    send_email_to_provider send_phone_number_to_provider sender_boost_count sender_business_bot sender_chat
    sender_tag sender_user sender_user_name set_name shipping_address shipping_option_id shipping_query
    short_description show_above_text show_caption_above_media size skip_entity_detection slow_mode_delay
    small_file_id small_file_unique_id source sponsor_user star_amount star_count start_date start_parameter
    start_timestamp state status sticker sticker_file_id sticker_set_name sticker_type stickers story street
    street_line1 street_line2 style subscription_expiration_date subscription_period subscription_price
    successful_payment suggested_name suggested_post_approval_failed suggested_post_approved
    suggested_post_declined suggested_post_info suggested_post_message suggested_post_paid
    suggested_post_refunded suggested_tip_amounts suggested_username summary supergroup_chat_created
    supports_guest_queries supports_inline_queries supports_join_request_queries supports_streaming
    switch_inline_query switch_inline_query_chosen_chat switch_inline_query_current_chat symbol symbol_color
    symbol_custom_emoji_id tag tasks telegram_payment_charge_id temperature text text_color text_entities
    text_parse_mode theme_name thumbnail thumbnail_height thumbnail_mime_type thumbnail_url thumbnail_width
    time_zone_name title title_entities top_color topic_id total_amount total_count total_voter_count
    transaction_type transactions transfer_star_count translation traveler type unclaimed_prize_count
    unique_gift unique_gift_colors unique_gift_number unique_gift_variant_count unique_gifts unix_time
    unlimited_gifts unrestrict_boost_count until_date update_id upgrade_star_count url user
    user_administrator_rights user_chat_id user_id user_is_bot user_is_premium username users users_shared
    valign value vcard venue via_bot via_chat_folder_invite_link via_join_request video video_chat_ended
    video_chat_participants_invited video_chat_scheduled video_chat_started video_duration video_file_id
    video_height video_note video_url video_width voice voice_duration voice_file_id voice_note voice_url
    voter_chat voter_count was_refunded watcher web_app web_app_data web_app_name width width_percentage
    winner_count winners winners_selection_date withdrawal_state write_access_allowed x_percentage x_shift
    y_percentage y_shift year zoom
"""

FIELDS: Final = frozenset(_NAMES.split())
"""Every name that a field of some type has."""
