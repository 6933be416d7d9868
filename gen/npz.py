"""Arrays of an .npz file by name, each looked at before it is read."""

import math
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.errors import ConfigError
from weft.files import regular_size

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for files that are damaged or something else."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What np.savez and np.savez_compressed write."""

SMALL_BYTES, MAX_RATIO = 1 << 26, 200
"""A file may hold arrays of so many bytes at any compression, and more up to that ratio."""

PIECE_BYTES = 1 << 20

READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One array of a file: what its header says, and where its data are.

    problem: why it cannot be read, "" if it can; then the other fields mean something.
    """

    path: Path
    member: str
    problem: str = ""
    shape: tuple[int, ...] = ()
    dtype: np.dtype | None = None
    fortran: bool = False
    header_bytes: int = 0

    @property
    def name(self) -> str:
        return _name(self.member)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def check(self) -> None:
        """Raises ConfigError for an array that cannot be read."""
        if self.problem:
            raise unreadable(self.path, f"array {self.name!r} {self.problem}")

    def read(self, samples: int | None = None) -> np.ndarray:
        """The array, or its first ``samples`` rows. Raises ConfigError."""
        self.check()
        shape = self.shape
        if samples is not None and not self.fortran:  # C order: the first rows come first
            shape = (min(samples, shape[0]), *shape[1:])
        assert self.dtype is not None
        n_bytes = math.prod(shape) * self.dtype.itemsize
        whole = math.prod(self.shape) * self.dtype.itemsize
        most = max(SMALL_BYTES, MAX_RATIO * regular_size(self.path))
        if n_bytes > most:
            raise ConfigError(
                f"{self.path}: array {self.name!r} would take {n_bytes:,} bytes of "
                "memory, many times the file's size; keep fewer with --samples, or store it "
                "uncompressed, with np.savez"
            )
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                file.read(self.header_bytes)
                data = file.read(n_bytes)
                while whole <= most and file.read(PIECE_BYTES):  # the checksum is at the end
                    pass
        except UNREADABLE as error:
            raise unreadable(self.path, error) from error
        if len(data) != n_bytes:
            raise unreadable(self.path, f"array {self.name!r} is cut short")
        array = np.frombuffer(bytearray(data), self.dtype)
        array = array.reshape(shape, order="F" if self.fortran else "C")
        return array[:samples]


def members(path: Path) -> dict[str, Member]:
    """The arrays of an .npz file by name; no data are read. Raises ConfigError."""
    try:
        regular_size(path)
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            return {_name(info.filename): _member(path, archive, info) for info in infos}
    except zipfile.BadZipFile as error:
        if _is_npy(path):
            raise ConfigError(
                f"{path} holds one array without a name (.npy); write an .npz file, in which the "
                "array has the input's name: np.savez(file, NAME=array)"
            ) from error
        raise unreadable(path, error) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX


def unreadable(path: Path, reason: object) -> ConfigError:
    """The error about a file that is damaged or something else."""
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return ConfigError(f"{path} is not a readable .npz file: {lines[0]:.200}")


def _name(member: str) -> str:
    return member.removesuffix(".npy")


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    try:
        fields = _header(archive, info)
    except UNREADABLE as error:  # it matters only if a network needs this array
        return Member(path=path, member=info.filename, problem=f"is damaged: {error}")
    if isinstance(fields, str):
        return Member(path=path, member=info.filename, problem=fields)
    shape, fortran, dtype, header_bytes = fields
    return Member(
        path=path,
        member=info.filename,
        shape=shape,
        dtype=dtype,
        fortran=fortran,
        header_bytes=header_bytes,
    )


def _header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> str | tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order, type and size of an array's header, or why the array cannot be read.

    Raises any of UNREADABLE.
    """
    if info.compress_type not in METHODS:
        return "is packed in another way than np.savez does it"
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in READERS:
            return "has a format that is not known"
        with warnings.catch_warnings():  # about what is refused anyway
            warnings.simplefilter("ignore")
            shape, fortran, dtype = READERS[version](file)
        header_bytes = file.tell()
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.fields or dtype.subdtype:
        return "holds no plain numbers"
    if any(type(n) is not int or n < 0 for n in shape) or len(shape) > 32:
        return "has an impossible shape"
    if math.prod(shape) * dtype.itemsize != info.file_size - header_bytes:
        return "has not as many bytes as its shape says"
    return shape, fortran, dtype, header_bytes
