"""Text as indices or counts of its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import is_size, listed, one_of
from ..core.keras_tensor import KerasTensor
from ..data import Packed, encoded, joined, on_host, texts
from ..engines.host import holds_text
from ._host import HostLayer
from ._lookup import StringLookup
from ._preprocessing import learn, of_kind
from ._table import counted

Array = np.ndarray[Any, Any]

#: The bytes of ASCII's capitals as small letters, and those that are taken out.
_LOWER = bytes.maketrans(bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1)))
_PUNCTUATION = rb"""!"#$%&()*+,-./:;<=>?@[\]^_`{|}~'"""
#: What becomes of bytes, by the name of a standardization: a table, and those taken out.
_STANDARDS: dict[Any, tuple[bytes | None, bytes]] = {
    None: (None, b""),
    "lower": (_LOWER, b""),
    "strip_punctuation": (None, _PUNCTUATION),
    "lower_and_strip_punctuation": (_LOWER, _PUNCTUATION),
}
#: Documents whose tokens are held at once, while they are counted or looked up.
_MANY = 1 << 15


#: The end of a document, within many.
END = b"\0"
_SPACE = b" \t\n\r\x0b\x0c"
#: Of each byte whether it is of a word, 0, a blank, 1, or `END`, 2.
_KINDS = bytes(2 if byte == 0 else byte == ord(" ") for byte in range(256))
#: Whitespace of ASCII as blanks.
_BLANKS = bytes.maketrans(_SPACE, b" " * len(_SPACE))
_MARGIN = b" " * 8


class Tokens(NamedTuple):
    """Tokens of documents, one after the other, and how many each document has, int64."""

    strings: Packed
    lengths: Array

    def document(self) -> Array:
        """The number of the document of each token."""
        return np.repeat(np.arange(self.lengths.size), self.lengths)


class TextVectorization(HostLayer):
    """Documents as sequences of the indices of their tokens, or as vectors of counts.

    Args:
        max_tokens: The most tokens of the vocabulary, special ones among them; None for all.
        standardize: What is done to a document first: `lower_and_strip_punctuation`, `lower`,
            `strip_punctuation`, None, or a function of an array of strings that gives one of its shape. Only ASCII's
            capitals and punctuation are meant.
        split: How it becomes tokens: at `whitespace` (of ASCII), by `character`, not at all for None, or by a
            function of a vector of strings that gives a list of tokens for each.
        ngrams: Sequences of tokens, joined by blanks, that count as tokens: up to this length, or of these lengths.
        output_mode: `int`, or vectors: `multi_hot`, `count`, `tf_idf`.
        output_sequence_length: The length to which indices are cut or padded by 0; that of the longest document of
            a batch where it is left out.
        pad_to_max_tokens: Whether vectors have the size `max_tokens` however many tokens there are.
        vocabulary: The tokens in order: see `StringLookup`.
        idf_weights: The inverse document frequency of each, for `tf_idf`.
        sparse: Accepted; the result is dense.
        ragged: Whether outputs are a list of a list for each document, without padding.
        encoding: `"utf-8"`.

    Inputs are strings `(batch,)` or `(batch, 1)`, outputs `(batch, length)` or `(batch, tokens)`. The index 0 is
    padding, 1 stands for what is not in the vocabulary. It runs on the host, as all layers of strings.

    >>> layer = TextVectorization()
    >>> layer.adapt(["The cat sat.", "The dog, the cat!"])
    >>> layer.get_vocabulary(), layer(["A cat sat"]).tolist()
    (['', '[UNK]', 'the', 'cat', 'sat', 'dog'], [[1, 3, 4]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._check_arguments()
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=output_mode,
            sparse=sparse,
            encoding=encoding,
            dtype=None if output_mode == "int" else self.dtype_policy,
        )

    def _check_arguments(self) -> None:
        one_of(("int", "multi_hot", "count", "tf_idf"), output_mode=self.output_mode)
        if not callable(self.standardize):
            one_of(_STANDARDS, standardize=self.standardize)
        if not callable(self.split):
            one_of((None, "whitespace", "character"), split=self.split)
        lengths = listed(self.ngrams)
        if self.ngrams is not None and not all(map(is_size, lengths or [self.ngrams])):
            raise ValueError(
                "`ngrams` is a length, or a tuple of them. Received: "
                f"ngrams={self.ngrams!r}. Pass 2 for single tokens and pairs, `(2,)` for pairs alone."
            )
        length = self.output_sequence_length
        if length is not None and not is_size(length):
            raise ValueError(
                "`output_sequence_length` must be a positive integer. Received: "
                f"output_sequence_length={length!r}."
            )
        given = {"output_sequence_length": length, "ragged": self.ragged or None}
        for name, value in given.items():
            if value is not None and self.output_mode != "int":
                raise ValueError(
                    f"`{name}` goes with sequences, `output_mode='int'`. Received: "
                    f"{name}={value}, output_mode={self.output_mode!r}. Leave it out."
                )
        if self.ragged and length is not None:
            raise ValueError(
                "Ragged outputs have the lengths of the documents. Received: "
                f"ragged=True, output_sequence_length={length}. Pass one of them."
            )

    # ------------------------------------------------------------------ vocabulary

    @property
    def vocabulary(self) -> Any:
        """The vocabulary that the constructor was given."""
        return self._lookup_layer.vocabulary

    @property
    def idf_weights(self) -> Any:
        """The weights that the constructor was given."""
        return self._lookup_layer.idf_weights

    @property
    def input_dtype(self) -> str:
        """Inputs are strings."""
        return "string"

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens in the order of their indices; see `StringLookup.get_vocabulary`."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of tokens, special ones among them."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens; see `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # ----------------------------------------------------------------------- adapt

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary of documents: their tokens, the most frequent first.

        What is held is the tokens seen and their counts, not the documents.

        Args:
            data: An array or list of documents, or batches of them in whatever form `fit` takes.
            batch_size: Accepted; an array is read in pieces in any case.
            steps: How many batches to read; all where it is left out.

        Raises:
            ValueError: If there is no token in it.
        """
        learn(self, data, steps)

    def reset_state(self) -> None:
        """Forget what was counted since the vocabulary was set."""
        self._lookup_layer.reset_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch of documents."""
        weighs = self.output_mode == "tf_idf"
        for tokens in self._tokens(self._documents(on_host(data))):
            found = counted(tokens.strings, tokens.document() if weighs else None)
            self._lookup_layer._see(*found, tokens.lengths.size)

    def merge_state(self, layers: Iterable[TextVectorization]) -> None:
        """Add what other layers have counted, of other documents, before `finalize_state`."""
        self._lookup_layer.merge_state(
            layer._lookup_layer for layer in of_kind(TextVectorization, layers)
        )

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    # ---------------------------------------------------------------------- tokens

    def _documents(self, inputs: Array) -> Array:
        """Documents `(batch,)`, or their tokens `(batch, tokens)` where they are split already."""
        if not holds_text(inputs):
            raise TypeError(
                f"A TextVectorization takes strings. Received: dtype={inputs.dtype} for {self.name!r}."
            )
        if self.split is None:
            return inputs.reshape(1) if inputs.ndim == 0 else inputs
        if inputs.ndim > 2 or (inputs.ndim == 2 and inputs.shape[1] != 1):
            raise ValueError(
                "Documents that are to be split are (batch,) or (batch, 1). Received: "
                f"shape={inputs.shape} for {self.name!r}. With `split=None` they are tokens already."
            )
        return inputs.reshape(-1)

    def _tokens(self, documents: Array) -> Iterator[Tokens]:
        """The tokens of documents, piece by piece."""
        for start in range(0, len(documents), _MANY):
            piece = documents[start : start + _MANY]
            if callable(self.standardize):
                piece = on_host(self.standardize(_as_str(piece)))
            yield self._tokens_of(piece)

    def _tokens_of(self, piece: Array) -> Tokens:
        table, removed = _STANDARDS[None if callable(self.standardize) else self.standardize]
        if self.split == "whitespace":
            tokens = words_in(_in_a_row(piece).translate(table, removed))
            return tokens if self.ngrams is None else with_ngrams(tokens, self._lengths)
        strings = [x.translate(table, removed) for x in encoded(piece)]
        rows = [*map(self._joined, self._split(strings, len(piece)))]
        lengths = np.array([*map(len, rows)], "int64")
        return Tokens(joined([*chain.from_iterable(rows)]), lengths)

    @property
    def _lengths(self) -> Sequence[int]:
        """The lengths of sequences of tokens that count as tokens."""
        return listed(self.ngrams) or range(1, self.ngrams + 1)

    def _split(self, strings: list[bytes], count: int) -> Iterable[list[bytes]]:
        """The tokens of each document."""
        if self.split == "character":
            return ([character.encode() for character in x.decode()] for x in strings)
        if self.split is None:
            width = len(strings) // count
            return (strings[i * width : (i + 1) * width] for i in range(count))
        found = self.split(_as_str(np.array(strings, object)))
        rows = found if isinstance(found, (list, tuple)) else on_host(found)
        return (encoded(np.array(list(row), object)) for row in rows)

    def _joined(self, tokens: list[bytes]) -> list[bytes]:
        """The tokens of a document, or its sequences of them."""
        if self.ngrams is None:
            return tokens
        pairs = [(n, i) for n in self._lengths for i in range(len(tokens) - n + 1)]
        return [b" ".join(tokens[i : i + n]) for n, i in pairs]

    # ------------------------------------------------------------------------ call

    def _compute(self, inputs: Array) -> Any:
        self._lookup_layer._known()
        pieces = [*self._tokens(self._documents(inputs))]
        none = np.empty(0, "int64")
        found = [self._lookup_layer._of_strings(tokens.strings) for tokens in pieces]
        indices = np.concatenate([none, *found])
        lengths = np.concatenate([none, *[tokens.lengths for tokens in pieces]])
        if self.ragged:
            return [row.tolist() for row in np.split(indices, np.cumsum(lengths))[:-1]]
        output = self._lookup_layer._encoded(self._padded(indices, lengths))
        if not inputs.ndim:
            return output[0]
        is_vector = self._keeps_shape and inputs.ndim == 1 and self.output_mode == "int"
        return output.reshape(-1) if is_vector and self.output_sequence_length is None else output

    def _padded(self, indices: Array, lengths: Array) -> Array:
        """Indices of documents one after the other as `(batch, length)`; padding counts for nothing."""
        width = int(lengths.max(initial=0))
        places = np.arange(width) < lengths[:, None]
        found = np.full(places.shape, 0 if self.output_mode == "int" else -1, "int64")
        found[places] = indices
        length = self.output_sequence_length
        if length is None:
            return found
        return np.pad(found[:, :length], ((0, 0), (0, max(0, length - width))))

    @property
    def _keeps_shape(self) -> bool:
        """Whether there is an index for each string."""
        return self.split is None and self.ngrams is None

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        """The output's shape and dtype."""
        if self.ragged:
            raise ValueError(
                "Ragged outputs are lists, which are no part of a model. Received: ragged=True for "
                f"{self.name!r}. Leave it out: index 0 is padding, which `Embedding(mask_zero=True)` masks."
            )
        shape, length = tuple(inputs.shape), self.output_sequence_length
        if self.output_mode != "int":
            return self._lookup_layer.compute_output_spec(KerasTensor((*shape[:1], None), "string"))
        if not self._keeps_shape or length is not None:
            shape = (*shape[:1], length)
        return KerasTensor(shape, "int64")

    # ----------------------------------------------------------------------- files

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into a folder, unless the config has it."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote."""
        self._lookup_layer.load_assets(dir_path)

    def save_own_variables(self, store: Any) -> None:
        """Put the inverse document frequencies into a mapping."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Take what `save_own_variables` put."""
        self._lookup_layer.load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the size of the vocabulary."""
        adapted = self._lookup_layer.adapted_arguments()
        return {**super().get_config(), **adapted, "vocabulary_size": self.vocabulary_size()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer that `get_config` described."""
        given = {key: value for key, value in config.items() if key != "vocabulary_size"}
        layer = super().from_config(given, custom_objects)
        layer._lookup_layer._told_size = config.get("vocabulary_size") or 0
        return layer


def _in_a_row(documents: Array) -> bytes:
    """Documents in UTF-8, one after the other, with `END` after each."""
    found = texts(documents)
    if set(map(type, found)) == {str}:
        whole = "\0".join([*found, ""]).encode()
    else:
        found = encoded(documents)
        whole = END.join([*found, b""])
    if whole.count(END) == len(found):
        return whole
    return END.join([*(x.replace(END, b"\xff") for x in encoded(documents)), b""])


def words_in(documents: bytes) -> Tokens:
    """What stands between whitespace in documents, each with `END` after it.

    >>> words_in(END.join([b"a  cat", b"", b"sat", b""])).lengths.tolist()
    [2, 0, 1]
    """
    whole = b"".join((_MARGIN, documents.translate(_BLANKS), _MARGIN))
    kinds = np.frombuffer(whole.translate(_KINDS), "uint8")
    is_word = kinds == 0
    edges = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    before = np.searchsorted(starts, np.flatnonzero(kinds == 2))
    strings = Packed(np.frombuffer(whole, "uint8"), starts, ends - starts)
    return Tokens(strings, np.diff(before, prepend=0))


def with_ngrams(tokens: Tokens, lengths: Sequence[int]) -> Tokens:
    """Sequences of tokens of these lengths, joined by blanks; those of a document together, the shorter first."""
    document, tokens = tokens.document(), _next_to_each_other(tokens)
    starts, ends = tokens.strings.starts, tokens.strings.starts + tokens.strings.lengths
    parts = []
    for n in lengths:
        first = np.flatnonzero(document[: document.size - n + 1] == document[n - 1 :])
        parts.append((starts[first], ends[first + n - 1], document[first]))
    first, last, owner = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(owner, kind="stable")
    strings = Packed(tokens.strings.buffer, first[order], (last - first)[order])
    return Tokens(strings, np.bincount(owner, minlength=tokens.lengths.size))


def _next_to_each_other(tokens: Tokens) -> Tokens:
    """The same tokens with one byte, a blank within a document, between two."""
    strings = tokens.strings
    gaps = strings.starts[1:] - strings.starts[:-1] - strings.lengths[:-1]
    if np.all(gaps == 1):
        return tokens
    whole = strings.buffer.tobytes().replace(END, b" ").split()
    content = b"".join((_MARGIN, b" ".join(whole), _MARGIN))
    starts = np.cumsum(strings.lengths + 1) + len(_MARGIN) - strings.lengths - 1
    return Tokens(Packed(np.frombuffer(content, "uint8"), starts, strings.lengths), tokens.lengths)


def _as_str(array: Array) -> Array:
    """Strings as an array of `str`."""
    flat = [x.decode() if isinstance(x, bytes) else x for x in array.ravel().tolist()]
    return np.array(flat, object).reshape(array.shape)
