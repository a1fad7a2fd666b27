"""Lookup: strings and integers as indices of a vocabulary, as vectors of counts, and back."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.checks import is_size, one_of
from ..core.keras_tensor import KerasTensor
from ..core.scopes import here
from ..data import Packed, on_host, packed
from ..engines.host import holds_text
from ._categories import MODES, check_sparse, encoded_spec, host_encoded
from ._hashing import hashed, salt_key, whole
from ._host import HostLayer
from ._preprocessing import learn, of_kind
from ._table import Table, counted, in_documents

Array = np.ndarray[Any, Any]

#: The files of tokens: one in a line, or as JSON where a token has several lines.
_LINES, _LIST = "vocabulary.txt", "vocabulary.json"
#: Beside indices: of a mask that is dropped, and of what the table lacks.
_DROPPED, _UNKNOWN = -1, -2


class Vocabulary:
    """Tokens without special ones, their indices and weights. It is an object, so that no tracker goes through it."""

    def __init__(self, tokens: list[Any], idf: Array | None) -> None:
        self.tokens, self.idf = tokens, idf
        #: The vocabulary and weights as the constructor was given them: what a config has.
        self.given: tuple[Any, Any] = None, None
        #: What finds tokens and special tokens, and the index of each; at the end that of what isn't found.
        self.table: Any = None
        self.indices: Array = np.empty(0, "int64")


class Seen:
    """How often tokens were seen, and in how many documents each was, of how many."""

    def __init__(self) -> None:
        self.tokens: Counter[Any] = Counter()
        self.documents: Counter[Any] = Counter()
        self.count = 0

    def add(self, other: Seen) -> None:
        """Add what was seen elsewhere."""
        self.tokens.update(other.tokens)
        self.documents.update(other.documents)
        self.count += other.count


class IndexLookup(HostLayer):
    """A vocabulary, its special tokens before it, and what was seen while it is adapted."""

    _converters = {"salt": salt_key}
    max_tokens: int | None
    num_oov_indices: int
    mask_token: Any
    oov_token: Any
    invert: bool
    output_mode: str
    sparse: bool
    pad_to_max_tokens: bool
    salt: Any
    #: The dtype of tokens.
    vocabulary_dtype: str = "string"
    #: The size of the vocabulary that a file's assets bring: outputs have their shape before it comes.
    _told_size: int = 0
    #: What a config has beside arguments.
    _told: ClassVar[frozenset[str]]

    def __init__(self, vocabulary: Any = None, idf_weights: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._check_arguments(idf_weights)
        self._vocabulary: Vocabulary | None = None
        #: Weights that a file gave, until it gives the vocabulary.
        self._loaded_idf: Array | None = None
        self.reset_state()
        is_path = isinstance(vocabulary, (str, os.PathLike))
        #: Whether a file of other tokens than a saved model's own was named, which is not read while one is loaded.
        self._is_withheld = is_path and here.file.get() is not None
        if vocabulary is not None and not self._is_withheld:
            self.set_vocabulary(vocabulary, idf_weights)
            given = os.fspath(vocabulary) if is_path else _listed(vocabulary)
            self._known().given = given, None if idf_weights is None else _listed(idf_weights)

    @property
    def vocabulary(self) -> Any:
        """The vocabulary that the constructor was given; None where it was adapted, or set."""
        return None if self._vocabulary is None else self._vocabulary.given[0]

    @property
    def idf_weights(self) -> Any:
        """The weights that the constructor was given."""
        return None if self._vocabulary is None else self._vocabulary.given[1]

    def _check_arguments(self, idf_weights: Any) -> None:
        one_of(("int", *MODES, "tf_idf"), output_mode=self.output_mode)
        check_sparse(self.sparse, self.output_mode)
        if self.max_tokens is not None and self.max_tokens <= max(1, self._first_index):
            raise ValueError(
                "`max_tokens` counts special tokens and must leave room for others. Received: "
                f"max_tokens={self.max_tokens} beside {self._first_index} special tokens."
            )
        if not is_size(self.num_oov_indices, 0):
            raise ValueError(
                "`num_oov_indices` must be an integer of 0 or more. Received: "
                f"num_oov_indices={self.num_oov_indices!r}."
            )
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ValueError(
                "`pad_to_max_tokens` pads to `max_tokens`. Received: pad_to_max_tokens=True, "
                "max_tokens=None. Pass `max_tokens`."
            )
        if self.invert and (self.output_mode != "int" or self.num_oov_indices > 1):
            raise ValueError(
                "With `invert=True` indices become tokens: `output_mode` is 'int', and "
                "`num_oov_indices` 0 or 1. Received: "
                f"output_mode={self.output_mode!r}, num_oov_indices={self.num_oov_indices}."
            )
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(
                "`idf_weights` go with `output_mode='tf_idf'`. Received: "
                f"output_mode={self.output_mode!r}. Leave them out."
            )

    # ------------------------------------------------------------------ vocabulary

    @property
    def input_dtype(self) -> str:
        """The dtype of what the layer takes."""
        return "int64" if self.invert else self.vocabulary_dtype

    @property
    def _masks(self) -> bool:
        """Whether the mask's token has an index of its own, 0."""
        return self.mask_token is not None and self.output_mode == "int"

    @property
    def _first_index(self) -> int:
        """The index of the first token that is not special."""
        return self._masks + self.num_oov_indices

    def _specials(self) -> list[Any]:
        return [self.mask_token] * self._masks + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their indices.

        Args:
            include_special_tokens: Whether those of the mask and of unknown tokens come first.
        """
        return (self._specials() if include_special_tokens else []) + self._tokens

    def vocabulary_size(self) -> int:
        """The number of tokens, special ones among them."""
        known = self._first_index + len(self._tokens)
        return known if self._vocabulary is not None else max(known, self._told_size)

    @property
    def _tokens(self) -> list[Any]:
        return [] if self._vocabulary is None else self._vocabulary.tokens

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens, and their weights.

        Args:
            vocabulary: The tokens in order, an array, a list or the path of a file with one in a line; the
                special ones may come first.
            idf_weights: The inverse document frequency of each, for `output_mode="tf_idf"`.

        Raises:
            ValueError: If there is no token, a token occurs twice, a special one stands among the others,
                there are more than `max_tokens`, or the weights are not as many.
        """
        tokens = self._read_tokens(vocabulary)
        specials = self._specials()
        has_specials = bool(specials) and tokens[: len(specials)] == specials
        own = tokens[len(specials) :] if has_specials else tokens
        self._check_tokens(own)
        if self.output_mode == "tf_idf":
            idf_weights = self._checked_weights(idf_weights, len(own), has_specials)
        elif idf_weights is not None:
            raise ValueError(
                "`idf_weights` go with `output_mode='tf_idf'`. Received: "
                f"output_mode={self.output_mode!r} in {self.name!r}. Leave them out."
            )
        self._take(own, idf_weights)

    def _read_tokens(self, vocabulary: Any) -> list[Any]:
        if isinstance(vocabulary, (str, os.PathLike)):
            if not os.path.exists(vocabulary):
                raise ValueError(
                    "A vocabulary is tokens, or the path of a file with one in a line. Received: "
                    f"vocabulary={os.fspath(vocabulary)!r}, where there is no file."
                )
            vocabulary = Path(vocabulary).read_text("utf-8").split("\n")
            vocabulary = vocabulary[:-1] if vocabulary[-1:] == [""] else vocabulary
        return list(map(self._as_token, _listed(vocabulary)))

    def _as_token(self, x: Any) -> Any:
        return x.decode() if isinstance(x, bytes) else str(x)

    def _check_tokens(self, own: list[Any]) -> None:
        if not own:
            raise ValueError(
                "A vocabulary has tokens. Received: an empty one for the layer "
                f"{self.name!r}. Pass at least one token, or look whether the data of `adapt` is empty."
            )
        twice = [token for token, count in Counter(own).items() if count > 1]
        if twice:
            raise ValueError(
                "A vocabulary has each token once. Received: "
                f"{twice[:5]} more than once, for the layer {self.name!r}. `dict.fromkeys(tokens)` has each once."
            )
        if self.mask_token is not None and self.mask_token in own:
            raise ValueError(
                f"The special tokens {self._specials()} come first, all or none of them. Received: "
                f"mask_token={self.mask_token!r} among the others for the layer {self.name!r}. Remove it, or "
                "choose another `mask_token`."
            )
        if self.max_tokens is not None and len(own) + self._first_index > self.max_tokens:
            raise ValueError(
                "A vocabulary has `max_tokens` at most, special ones among them. Received: "
                f"{len(own)} tokens and {self._first_index} special ones with max_tokens={self.max_tokens} for the "
                f"layer {self.name!r}."
            )

    def _checked_weights(self, weights: Any, count: int, has_specials: bool) -> Array:
        if weights is None:
            raise ValueError(
                "With `output_mode='tf_idf'` a vocabulary has a weight for each token. Received: "
                f"idf_weights=None for the layer {self.name!r}. Pass `idf_weights`, or `adapt` to documents."
            )
        given = np.asarray(weights, "float32").ravel()
        wanted = count + (self._first_index if has_specials else 0)
        if given.size != wanted:
            raise ValueError(
                "`idf_weights` are as many as the tokens of the vocabulary. Received: "
                f"{given.size} weights for {wanted} tokens in the layer {self.name!r}."
            )
        own = given[wanted - count :]
        return np.concatenate([np.full(self._first_index, own.mean(), "float32"), own])

    def _take(self, own: list[Any], idf: Array | None) -> None:
        """Let these be the tokens."""
        known, table = Vocabulary(own, idf), self._numbered(own)
        known.table = self._found_by(list(table))
        known.indices = np.array([*table.values(), _UNKNOWN], "int64")
        self._vocabulary = known

    def _numbered(self, own: list[Any]) -> dict[Any, int]:
        """The indices of tokens and special tokens."""
        first = self._first_index
        table = dict(zip(own, range(first, first + len(own)), strict=True))
        if self.mask_token is not None:
            table[self.mask_token] = 0 if self._masks else _DROPPED
        if self.num_oov_indices == 1:  # unknown tokens may come as what they are called
            table.setdefault(self.oov_token, int(self._masks))
        return table

    def _table(self) -> tuple[list[Any], list[int], int] | None:
        if self.invert or self.output_mode != "int" or self.num_oov_indices != 1:
            return None
        table = self._numbered(self._known().tokens)
        return [*table], [*table.values()], int(self._masks)

    def _found_by(self, tokens: list[Any]) -> Any:
        """What finds the places of tokens."""
        raise NotImplementedError

    def _known(self) -> Vocabulary:
        if self._vocabulary is None:
            why = "a path in a saved model, which is not read" if self._is_withheld else "none"
            raise ValueError(
                f"A {type(self).__name__} needs a vocabulary before it is called. Received: {why}, for the "
                f"layer {self.name!r}. Pass `vocabulary`, `adapt` it to data, or call `set_vocabulary`."
            )
        return self._vocabulary

    # ----------------------------------------------------------------------- adapt

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary of data: its tokens, the most frequent first.

        What is held is the tokens seen and their counts, not the data.

        Args:
            data: An array or list, or batches in whatever form `fit` takes: a list of arrays, a generator, a
                `PyDataset`, a data loader, a `tf.data.Dataset`. Targets are left out.
            steps: How many batches to read; all where it is left out.

        Raises:
            ValueError: If there is no token in it.
        """
        learn(self, data, steps)

    def reset_state(self) -> None:
        """Forget what was seen since the vocabulary was set."""
        self._seen = Seen()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch; each row is a document, or each element of a vector."""
        array = on_host(data)
        rows = array.reshape(1, 1) if array.ndim == 0 else array.reshape(len(array), -1)
        documents = np.repeat(np.arange(len(rows)), rows.shape[1])
        self._see(*self._counted(rows, documents if self._weighs else None), len(rows))

    @property
    def _weighs(self) -> bool:
        return bool(self.output_mode == "tf_idf")

    def _counted(self, rows: Array, documents: Array | None) -> tuple[Any, Any]:
        """How often each token is there, and in how many of the documents where those are given."""
        raise NotImplementedError

    def _see(self, tokens: Any, documents: Any, count: int) -> None:
        """Add counts of tokens, and of the documents that have them."""
        self._seen.tokens.update(tokens)
        self._seen.documents.update(documents)
        self._seen.count += count

    def merge_state(self, layers: Iterable[IndexLookup]) -> None:
        """Add what other layers have seen, of other parts of the data say, before `finalize_state`."""
        for layer in of_kind(type(self), layers):
            self._seen.add(layer._seen)

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted: by falling counts, then by falling tokens."""
        counts, documents = self._merged(self._seen.tokens), self._merged(self._seen.documents)
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        if not counts:
            if self._vocabulary is not None:
                return
            raise ValueError(
                "`adapt` needs tokens. Received: none for the layer "
                f"{self.name!r}. Look whether the data is empty, or a generator was used up before."
            )
        own = sorted(counts, reverse=True)
        own.sort(key=counts.__getitem__, reverse=True)
        if self.max_tokens is not None:
            own = own[: self.max_tokens - self._first_index]
        idf = None
        if self.output_mode == "tf_idf":
            seen = np.array([documents[token] for token in own], "float64")
            idf = np.log1p(self._seen.count / (1 + seen)).astype("float32")
            idf = self._checked_weights(idf, len(own), has_specials=False)
        self._take(own, idf)
        self.reset_state()

    def _merged(self, counts: Counter[Any]) -> Counter[Any]:
        """Counts by tokens as the vocabulary has them."""
        found: Counter[Any] = Counter()
        for token, count in counts.items():
            found[self._as_token(token)] += count
        return found

    # ------------------------------------------------------------------------ call

    @property
    def _depth(self) -> int:
        """The size of a vector of counts."""
        padded = self.max_tokens if self.pad_to_max_tokens else None
        return padded or self.vocabulary_size()

    @property
    def _weights(self) -> Array | None:
        """The inverse document frequency of each element of such a vector."""
        idf = self._known().idf
        return None if idf is None else np.pad(idf, (0, self._depth - idf.size))

    def _compute(self, inputs: Any) -> Any:
        self._known()
        if self.invert:
            return self._tokens_at(inputs)
        return self._encoded(self._indices(inputs))

    def _encoded(self, indices: Array) -> Any:
        if self.output_mode == "int":
            return indices
        return host_encoded(
            indices, self.output_mode, self._depth, self.compute_dtype, self._weights
        )

    def _indices(self, inputs: Array) -> Array:
        """The index of each token, int64."""
        raise NotImplementedError

    def _with_unknown(
        self, found: Array, unknown: Callable[[Array], Array], token_at: Callable[[int], Any]
    ) -> Array:
        """Indices with those of tokens that the vocabulary lacks, whose numbers `unknown(places)` gives."""
        places = np.flatnonzero(found == _UNKNOWN)
        if not places.size:
            return found
        if self.num_oov_indices > 1:
            numbers = unknown(places)
            numbers = numbers % numbers.dtype.type(self.num_oov_indices)
            found[places] = self._masks + numbers.astype("int64")
        elif self.num_oov_indices:
            found[places] = self._masks
        elif self.output_mode == "int":
            raise ValueError(
                "With `num_oov_indices=0` all inputs are of the vocabulary. Received: "
                f"{[token_at(i) for i in places[:5].tolist()]} in the layer {self.name!r}, which are not. Leave "
                "an index for them: `num_oov_indices=1`."
            )
        else:
            found[places] = _DROPPED
        return found

    def _tokens_at(self, indices: Array) -> Array:
        dtype = object if self.vocabulary_dtype == "string" else self.vocabulary_dtype
        table = np.array([*self.get_vocabulary(), self.oov_token], dtype)
        outside = (indices < 0) | (indices >= len(table))
        return table[np.where(outside, len(table) - 1, indices).astype("int64")]

    def compute_output_spec(self, inputs: Any) -> Any:
        """The output's shape and dtype."""
        if self.invert or self.output_mode == "int":
            return KerasTensor(inputs.shape, self.vocabulary_dtype if self.invert else "int64")
        return encoded_spec(inputs.shape, self.output_mode, self._depth, self.compute_dtype)

    # ----------------------------------------------------------------------- files

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into a folder, unless the config has its tokens."""
        if self.vocabulary is None or isinstance(self.vocabulary, str):
            tokens = list(map(str, self.get_vocabulary()))
            breaks = any("\n" in token for token in tokens)
            name, text = (_LIST, json.dumps(tokens)) if breaks else (_LINES, "\n".join(tokens))
            Path(dir_path, name).write_bytes(text.encode())

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote."""
        paths = [path for name in (_LINES, _LIST) if (path := Path(dir_path, name)).exists()]
        if self.vocabulary is not None or not paths:
            return
        text = paths[0].read_bytes().decode()
        given = text.split("\n") if paths[0].name == _LINES else json.loads(text)
        tokens = [self._as_token(x) for x in given]
        own = tokens[self._first_index :]
        if own:
            idf = self._loaded_idf
            self._take(own, None if idf is None else idf[: len(tokens)])

    def save_own_variables(self, store: Any) -> None:
        """Put the inverse document frequencies into a mapping."""
        if self._vocabulary is not None and self._vocabulary.idf is not None:
            store["idf_weights"] = self._weights

    def load_own_variables(self, store: Any) -> None:
        """Take what `save_own_variables` put; the vocabulary comes with the assets, after it."""
        if "idf_weights" in store.keys():  # noqa: SIM118  (a mapping by protocol)
            self._loaded_idf = np.asarray(store["idf_weights"], "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the size of the vocabulary."""
        size = self.vocabulary_size() if self._tokens else None
        return {**super().get_config(), **self.adapted_arguments(), "vocabulary_size": size}

    def adapted_arguments(self) -> dict[str, Any]:
        """The arguments that give the vocabulary as it is, where configs are to have it."""
        if not here.adapted.get() or self._vocabulary is None:
            return {}
        idf = self._vocabulary.idf
        weights = None if idf is None else idf[self._first_index :].tolist()
        return {"vocabulary": list(self._tokens), "idf_weights": weights}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer that `get_config` described."""
        given = {k: v for k, v in config.items() if k not in cls._told}
        layer = super().from_config(given, custom_objects)
        layer._told_size = config.get("vocabulary_size") or 0
        return layer


class StringLookup(IndexLookup):
    """Strings as the indices of a vocabulary.

    Args:
        max_tokens: The most tokens that `adapt` keeps, special ones among them; None for all.
        num_oov_indices: How many indices there are for strings that are not in the vocabulary. Of several, a string
            gets one by its hash; with 0, such a string is an error, or left out where strings are counted.
        mask_token: A string that gets the index 0, or is left out where strings are counted.
        oov_token: What stands for strings that are not in the vocabulary.
        vocabulary: The strings in order: an array, a list, or the path of a file with one in a line.
        idf_weights: The inverse document frequency of each, for `tf_idf`.
        invert: Whether indices become strings.
        output_mode: `int`; or vectors, as in `CategoryEncoding`: `one_hot`, `multi_hot`, `count`, and `tf_idf`,
            counts times inverse document frequencies.
        pad_to_max_tokens: Whether vectors have the size `max_tokens` however many tokens there are.
        sparse: Accepted; the result is dense.
        encoding: `"utf-8"`.
        salt: An integer or a pair of them, for other hashes: see `Hashing`.

    It runs on the host: strings are NumPy arrays, lists, columns of pandas or pyarrow. Indices are int64, or
    what the engine has for it; vectors `(batch, tokens)` have the layer's dtype.

    >>> layer = StringLookup(vocabulary=["a", "b", "c"])
    >>> layer([["a", "c", "d"]]).tolist(), layer.get_vocabulary()
    ([[1, 3, 0]], ['[UNK]', 'a', 'b', 'c'])
    """

    #: What hashes strings: a name that files have, for one of integers.
    oov_method = "floormod"
    _told = frozenset({"vocabulary_size", "oov_method"})

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary, idf_weights, name=name, **kwargs)
        one_of(("utf-8",), encoding=encoding)

    def _found_by(self, tokens: list[str]) -> Table:
        return Table([token.encode() for token in tokens])

    def _indices(self, inputs: Array) -> Array:
        if not holds_text(inputs):
            raise TypeError(
                "A StringLookup takes strings. Received: "
                f"dtype={inputs.dtype} for {self.name!r}. Use an IntegerLookup, or `inputs.astype(str)`."
            )
        return self._of_strings(packed(inputs)).reshape(inputs.shape)

    def _of_strings(self, strings: Packed) -> Array:
        """The index of each string."""
        known = self._known()
        found = known.indices[known.table.find(strings)]

        def unknown(places: Array) -> Array:
            return hashed(strings.at(places), self.salt)

        return self._with_unknown(found, unknown, lambda i: strings.bytes_at(i).decode())

    def _counted(self, rows: Array, documents: Array | None) -> tuple[Any, Any]:
        return counted(packed(rows), documents)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the size of the vocabulary."""
        return {**super().get_config(), "oov_method": self.oov_method}


class IntegerLookup(IndexLookup):
    """Integers as the indices of a vocabulary.

    Args:
        max_tokens: The most integers that `adapt` keeps, special ones among them; None for all.
        num_oov_indices: How many indices there are for integers that are not in the vocabulary: see `StringLookup`.
        mask_token: An integer that gets the index 0, or is left out where integers are counted.
        oov_token: What stands for integers that are not in the vocabulary.
        vocabulary: The integers in order: an array, a list, or the path of a file with one in a line.
        vocabulary_dtype: `"int64"`.
        idf_weights, invert, output_mode, sparse, pad_to_max_tokens: As in `StringLookup`.
        oov_method: Which of several indices an unknown integer gets: `floormod`, by its remainder, or `farmhash`,
            by the hash of its digits.
        salt: For other hashes, with `farmhash`: see `Hashing`.

    It runs on the host, so integers have 64 bits on every engine.

    >>> layer = IntegerLookup(vocabulary=[12, 36, 1138])
    >>> layer([[12, 1138, 7]]).tolist(), layer.get_vocabulary()
    ([[1, 3, 0]], [-1, 12, 36, 1138])
    """

    _told = frozenset({"vocabulary_size"})

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocabulary, idf_weights, name=name, **kwargs)
        one_of(("int64",), vocabulary_dtype=vocabulary_dtype)
        one_of(("floormod", "farmhash"), oov_method=oov_method)
        if salt is not None and oov_method != "farmhash":
            raise ValueError(
                "`salt` goes with `oov_method='farmhash'`. Received: "
                f"salt={salt!r}, oov_method={oov_method!r}. Leave it out."
            )

    def _as_token(self, x: Any) -> int:
        return int(x)

    def _found_by(self, tokens: list[int]) -> tuple[Array, Array]:
        """Tokens in rising order, and their places."""
        keys = np.array(tokens, "int64")
        return np.sort(keys), np.argsort(keys)

    def _indices(self, inputs: Array) -> Array:
        if holds_text(inputs):
            raise TypeError(
                "An IntegerLookup takes integers. Received: "
                f"dtype={inputs.dtype} for {self.name!r}. Use a StringLookup, or `inputs.astype('int64')`."
            )
        flat = whole(inputs, self).astype("int64", copy=False).ravel()
        known = self._known()
        keys, order = known.table
        places = np.minimum(np.searchsorted(keys, flat), keys.size - 1)
        found = known.indices[np.where(keys[places] == flat, order[places], -1)]

        def unknown(places: Array) -> Array:
            if self.oov_method == "floormod":
                return flat[places]
            return hashed(packed(flat[places]), self.salt)

        return self._with_unknown(found, unknown, lambda i: flat[i].item()).reshape(inputs.shape)

    def _counted(self, rows: Array, documents: Array | None) -> tuple[Any, Any]:
        rows = rows if holds_text(rows) else whole(rows, self)
        keys, inverse, counts = np.unique(rows, return_inverse=True, return_counts=True)
        tokens = dict(zip(keys.tolist(), counts.tolist(), strict=True))
        return tokens, {} if documents is None else in_documents(
            keys.tolist(), inverse.ravel(), documents
        )


def _listed(values: Any) -> list[Any]:
    """A vocabulary, or weights, as a list of Python's values."""
    found: list[Any] = np.ravel(on_host(values)).tolist()
    return [x.decode() if isinstance(x, bytes) else x for x in found]
