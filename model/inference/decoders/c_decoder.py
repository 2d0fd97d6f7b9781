"""A decoder on a CPU: `decoder.c`, compiled by the machine's C compiler on first use, called with pointers.

Notable:
- Why C: at 2M parameters a token is 0.2 ms of arithmetic, a tenth of what torch takes to launch the operations; and
  torch's products round differently with the number of rows, so that tokens could depend on the company.
- The library is kept in the user's cache folder under a digest of the source, the compiler and the processor. Without
  a compiler `c_decoder_available` is false, and the engine uses torch.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.inference.decoders.decoder import DecoderWeights, LayerWeights, Rows, WeightPrecision, quantised
from model.inference.decoders.thread_choice import ThreadChoice

_SOURCE = Path(__file__).with_name("decoder.c")
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-pthread", "-shared", "-fPIC")
_SECONDS = 120
_LANES, _PANEL = 8, 16
_KINDS: dict[WeightPrecision, int] = {"float32": 0, "bfloat16": 1, "int8": 2}
_PRODUCTS_PER_THREAD = 6_000_000
"""Work of half a millisecond: with less, a thread costs more than it gives."""
_Pointer = ctypes.c_void_p


class _Matrix(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("values", "scales", "bias")),
        *((name, ctypes.c_int64) for name in ("kind", "panels", "inputs")),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _Matrix) for name in ("qkv", "out", "gate_up", "down")),
        *((name, _Pointer) for name in ("input_norm", "q_norm", "k_norm", "post_norm")),
        ("window", ctypes.c_int64),
    )


_SIZES = ("layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate", "slots", "context")


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        ("epsilon", ctypes.c_float),
        ("layer", ctypes.POINTER(_Layer)),
        *((name, _Matrix) for name in ("embedding", "head")),
        *((name, _Pointer) for name in ("norm", "cosines", "sines", "keys", "values", "stream", "normed", "inner")),
        *((name, ctypes.c_int64) for name in ("stream_width", "inner_width")),
        ("scratch", _Pointer),
        ("scratch_size", ctypes.c_int64),
    )


class CDecoder:
    """The model and its cache in memory; weights in any precision, activations and cache in float32."""

    device = torch.device("cpu")

    def __init__(
        self, weights: DecoderWeights, slots: int, context: int, precision: WeightPrecision, most_rows: int
    ) -> None:
        """Take at most `most_rows` rows a pass, and `slots` of them wanted."""
        shape = weights.shape
        self.slots, self.context, self.vocab_size, self._most_rows = slots, context, shape.vocab_size, most_rows
        self._forward = _library().forward
        self._kept: list[object] = []
        """What the structures point to."""
        self.weight_bytes = 0
        room = _rounded(context, _LANES)
        self._keys = torch.zeros(shape.layers, slots, shape.kv_heads, room // _LANES, shape.head_dim, _LANES)
        self._values = torch.zeros(shape.layers, slots, shape.kv_heads, room, _rounded(shape.head_dim, _LANES))
        self.cache_bytes = self._keys.nbytes + self._values.nbytes
        embedding = self._matrix(weights.embedding, precision)
        head = embedding if weights.head is None else self._matrix(weights.head, precision)
        layers = (_Layer * shape.layers)(*(self._layer(layer, precision) for layer in weights.layers))
        qkv_size = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
        # One panel more than needed, so that rows do not lie a power of two apart, in the same lines of the cache.
        stream_width = _rounded(shape.hidden_size, _PANEL) + _PANEL
        inner_width = _rounded(max(qkv_size, 2 * shape.intermediate_size), _PANEL) + _PANEL
        widest = max(shape.hidden_size, shape.heads * shape.head_dim, shape.intermediate_size)
        scratch_size = max(_PANEL * widest, room + 2 * shape.head_dim + 2 * _LANES)
        self._threads, self._thread_choice = torch.get_num_threads(), ThreadChoice()
        self._products = sum(matrix.numel() for matrix in weights.matrices)
        self._logits = torch.empty(slots, head.panels * _PANEL)
        self._model = _Model(
            layers=shape.layers,
            hidden=shape.hidden_size,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            intermediate=shape.intermediate_size,
            slots=slots,
            context=room,
            epsilon=shape.norm_epsilon,
            layer=layers,
            embedding=embedding,
            head=head,
            norm=self._vector(weights.norm),
            cosines=self._vector(weights.cosines[:context]),
            sines=self._vector(weights.sines[:context]),
            keys=self._keys.data_ptr(),
            values=self._values.data_ptr(),
            stream=self._vector(torch.zeros(most_rows, stream_width)),
            normed=self._vector(torch.zeros(most_rows, stream_width)),
            inner=self._vector(torch.zeros(most_rows, inner_width)),
            stream_width=stream_width,
            inner_width=inner_width,
            scratch=self._vector(torch.zeros(self._threads, scratch_size)),
            scratch_size=scratch_size,
        )

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot into another."""
        blocks = -(-length // _LANES)
        self._keys[:, target, :, :blocks] = self._keys[:, source, :, :blocks]
        self._values[:, target, :, :length] = self._values[:, source, :, :length]

    def forward(self, rows: Rows) -> Tensor:
        """Store the rows' keys and values and return float32 logits (wanted, vocabulary), valid until the next pass."""
        n_rows, n_wanted = len(rows.tokens), len(rows.wanted)
        if n_rows > self._most_rows or n_wanted > self.slots:  # in C it would write beyond its memory
            raise ValueError(
                f"at most {self._most_rows} rows and {self.slots} wanted ones: got {n_rows} and {n_wanted}"
            )
        ids = ctypes.c_int32 * n_rows
        most_threads = max(1, min(self._threads, n_rows * self._products // _PRODUCTS_PER_THREAD))
        with self._thread_choice.threads(n_rows, most_threads) as threads:
            self._forward(
                ctypes.byref(self._model),
                ctypes.c_int64(n_rows),
                ids(*rows.tokens),
                ids(*rows.slots),
                ids(*rows.positions),
                ctypes.c_int64(n_wanted),
                (ctypes.c_int32 * n_wanted)(*rows.wanted),
                _Pointer(self._logits.data_ptr()),
                ctypes.c_int64(threads),
            )
        return self._logits[:n_wanted, : self.vocab_size]

    def _layer(self, layer: LayerWeights, precision: WeightPrecision) -> _Layer:
        return _Layer(
            qkv=self._matrix(layer.qkv, precision, layer.qkv_bias),
            out=self._matrix(layer.out, precision, layer.out_bias),
            gate_up=self._matrix(layer.gate_up, precision),
            down=self._matrix(layer.down, precision),
            input_norm=self._vector(layer.input_norm),
            q_norm=self._vector(layer.q_norm),
            k_norm=self._vector(layer.k_norm),
            post_norm=self._vector(layer.post_norm),
            window=layer.window,
        )

    def _matrix(self, matrix: Tensor, precision: WeightPrecision, bias: Tensor | None = None) -> _Matrix:
        """Lay (outputs, inputs) out in panels of 16 outputs, in a precision."""
        outputs, inputs = matrix.shape
        padded = _rounded(outputs, _PANEL)
        values, scales = quantised(matrix.float()) if precision == "int8" else (matrix, None)
        values = values.to(getattr(torch, precision))
        full = torch.zeros(padded, inputs, dtype=values.dtype)
        full[:outputs] = values
        panels = full.view(-1, _PANEL, inputs).transpose(1, 2).contiguous()
        self._kept.append(panels)
        self.weight_bytes += panels.nbytes + (0 if scales is None else scales.nbytes)
        return _Matrix(
            values=panels.data_ptr(),
            scales=self._vector(_padded(scales, padded)),
            bias=self._vector(_padded(bias, padded)),
            kind=_KINDS[precision],
            panels=padded // _PANEL,
            inputs=inputs,
        )

    def _vector(self, values: Tensor | None) -> int | None:
        if values is None:
            return None
        values = values.float().contiguous()
        self._kept.append(values)
        return values.data_ptr()


def c_decoder_available() -> bool:
    """Return whether the decoder can be compiled here, or was."""
    try:
        _library()
    except OSError:
        return False
    return True


def _padded(values: Tensor | None, size: int) -> Tensor | None:
    return None if values is None else torch.nn.functional.pad(values.float(), (0, size - len(values)))


def _rounded(size: int, to: int) -> int:
    return -(-size // to) * to


@functools.cache
def _library() -> Any:
    """Return the compiled library; raises OSError if there is no compiler, or it fails."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise OSError("there is no C compiler")
    folder = _own_folder()
    library = folder / f"decoder-{_digest(compiler)}.so"
    if not library.is_file():
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            made = Path(temporary) / "decoder.so"
            for openmp in (["-fopenmp"], []):
                command = [compiler, *_FLAGS, *openmp, "-o", str(made), str(_SOURCE), "-lm"]
                try:
                    done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
                except subprocess.TimeoutExpired as error:
                    raise OSError(f"{compiler} took more than {_SECONDS} s") from error
                if done.returncode == 0:
                    break
            else:
                raise OSError(
                    f"{compiler} cannot compile {_SOURCE.name}: {done.stderr.decode(errors='replace')[-500:]}"
                )
            made.replace(library)
    return ctypes.CDLL(str(library))


def _digest(compiler: str) -> str:
    """Return what the compiled code depends on: a home folder may be shared by machines of different processors."""
    version = subprocess.run([compiler, "--version"], capture_output=True, timeout=_SECONDS, check=False).stdout
    processor = [platform.machine(), platform.system()]
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    whole = b"\0".join([_SOURCE.read_bytes(), version, " ".join([*_FLAGS, *processor]).encode()])
    return hashlib.sha256(whole).hexdigest()[:16]


def _own_folder() -> Path:
    """Return a folder that only this user writes to: what lies there is run."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sluice"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if (hasattr(os, "getuid") and found.st_uid != os.getuid()) or stat.S_IMODE(found.st_mode) & 0o022:
        raise OSError(f"{folder} can be written to by others; code that is run must not lie there")
    return folder
