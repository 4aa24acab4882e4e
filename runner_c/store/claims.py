"""What a store in one process has given out: tokens, leases, and which keys are held.

**Guarantees**

- A claim is known by its token until it is taken away, once.
- Costs a dict entry for each claim. Who holds a key is counted only from the moment in which somebody asks.

**Assumes** that its owner guards it by a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Claims"]


class Claims:
    """The claims of one store.

    Args:
        token: all tokens are above this one.
    """

    def __init__(self, token: int = 0) -> None:
        # Token, number of the first, and the keys of those from there on: one object for all of a batch.
        self._given: dict[int, tuple[int, int, Sequence[tuple[str, ...]]]] = {}
        self._lapse_at: dict[int, float] = {}
        self._held: dict[str, int] | None = None
        self._token = token

    def __len__(self) -> int:
        return len(self._given)

    @property
    def has_leases(self) -> bool:
        """Tell whether somebody else than the claimer without leases has claims."""
        return bool(self._lapse_at)

    def next_token(self) -> int:
        """Return a token that no claim has yet."""
        self._token += 1
        return self._token

    def add(self, seq: int, token: int, keys: tuple[str, ...], lapse_at: float | None = None) -> None:
        """Note that an update was given out."""
        self._given[seq] = (token, seq, (keys,))
        if lapse_at is not None:
            self._lapse_at[seq] = lapse_at
        if self._held is not None:
            for key in keys:
                self._held[key] = self._held.get(key, 0) + 1

    def add_all(self, seqs: Sequence[int], token: int, keys: Sequence[tuple[str, ...]]) -> None:
        """Note that updates were given out, without leases."""
        if self._held is None and seqs and seqs[-1] - seqs[0] == len(seqs) - 1:
            self._given.update(dict.fromkeys(seqs, (token, seqs[0], keys)))
            return
        for seq, theirs in zip(seqs, keys, strict=True):
            self.add(seq, token, theirs)

    def has(self, seq: int, token: int) -> bool:
        """Tell whether a token is that of a claim."""
        # Not .get(): on a dict that another thread made it is a hundred times slower on CPython 3.13t.
        return seq in self._given and self._given[seq][0] == token

    def tokens(self, settlements: Iterable[tuple[int, int, object]]) -> dict[int, int]:
        """Return the tokens of those claims that are mentioned, by number."""
        given = self._given
        return {seq: given[seq][0] for seq, _, _ in settlements if seq in given}

    def keys_of(self, seq: int) -> tuple[str, ...]:
        """Return the keys of a claim."""
        _, first, keys = self._given[seq]
        return keys[seq - first]

    def take(self, seq: int) -> None:
        """Forget a claim: it was settled, or is given back."""
        keys = self.keys_of(seq)
        del self._given[seq]
        if self._lapse_at:
            self._lapse_at.pop(seq, None)
        if self._held is not None:
            for key in keys:
                left = self._held[key] - 1
                if left:
                    self._held[key] = left
                else:
                    del self._held[key]

    def take_all(self, seqs: Iterable[int]) -> None:
        """Forget claims."""
        if self._held is None and not self._lapse_at:
            given = self._given
            for seq in seqs:
                del given[seq]
            return
        for seq in seqs:
            self.take(seq)

    def is_free(self, keys: Iterable[str]) -> bool:
        """Tell whether no claim holds one of these keys."""
        if self._held is None:
            self._held = {}
            for seq in self._given:
                for key in self.keys_of(seq):
                    self._held[key] = self._held.get(key, 0) + 1
        return not any(key in self._held for key in keys)

    def stop_counting(self) -> None:
        """Nobody asks for keys any more, for now."""
        self._held = None

    def extend(self, seq: int, lapse_at: float) -> None:
        """Prolong a lease; a claim without one has none afterwards either."""
        if seq in self._lapse_at:
            self._lapse_at[seq] = lapse_at

    def lapsed(self, now: float) -> Iterator[int]:
        """Yield the claims whose leases have lapsed, oldest first."""
        if self._lapse_at:
            yield from sorted(seq for seq, lapse_at in self._lapse_at.items() if lapse_at <= now)
