"""The key functions that the engine knows: by_chat, by_user, by_chat_thread.

Guarantees
    - O(1) per update, no exception for any decoded JSON object; what has no such key gives None.
Assumes
    - an update is a dict with ``update_id`` and (at most) one payload, which is a dict.
"""


# Never .get() here: on CPython 3.13t it is a hundred times slower than these on a dict that another thread made.
cdef inline object field(dict owner, str name):
    return owner[name] if name in owner else None


cdef inline object id_text(object owner):
    if type(owner) is dict:
        number = field(<dict> owner, "id")
        if type(number) is int or type(number) is str:
            return str(number)
    return None


cdef inline dict payload_of(object context):
    cdef object update = context if isinstance(context, dict) else context.update
    for value in (<dict?> update).values():
        if type(value) is dict:
            return <dict> value
    return None


cdef inline dict message_of(dict payload):
    """The message that a payload is about: itself, or the one that a callback query hangs on."""
    if "chat" in payload:
        return payload
    message = field(payload, "message")
    return <dict> message if type(message) is dict else None


cdef object user_key(dict payload):
    key = id_text(field(payload, "from"))
    return key if key is not None else id_text(field(payload, "user"))


cdef object chat_key(dict payload):
    cdef dict message = message_of(payload)
    if message is not None:
        key = id_text(field(message, "chat"))
        if key is not None:
            return key
    key = id_text(field(payload, "voter_chat"))
    return key if key is not None else user_key(payload)


def by_chat(context):
    cdef dict payload = payload_of(context)
    return None if payload is None else chat_key(payload)


def by_user(context):
    cdef dict payload = payload_of(context)
    return None if payload is None else user_key(payload)


def by_chat_thread(context):
    cdef dict payload = payload_of(context)
    if payload is None:
        return None
    key = chat_key(payload)
    cdef dict message = message_of(payload)
    if key is not None and message is not None and field(message, "is_topic_message") is True:
        return f"{key}/{field(message, 'message_thread_id')}"
    return key


class Bypass:
    """The type of BYPASS."""

    __slots__ = ()

    def __repr__(self):
        return "BYPASS"


BYPASS = Bypass()


cdef str checked(object key):
    if type(key) is str:
        return key
    if isinstance(key, (str, int)) and type(key) is not bool:
        return str(key)
    raise TypeError(f"a key is a string; a key function gave {type(key).__name__}")


cpdef tuple keys_of(object keys):
    if keys is None:
        return ()
    if isinstance(keys, (str, int)):
        return (checked(keys),)
    # What has .get() is a mapping or a view of one: its names are no keys.
    if isinstance(keys, (bytes, bytearray)) or hasattr(keys, "get") or not hasattr(keys, "__iter__"):
        raise TypeError(f"a key function returns a string, strings, or None; one gave {type(keys).__name__}")
    return tuple({checked(key): None for key in keys if key is not None})
