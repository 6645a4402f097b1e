import numpy as np
import numpy.typing as npt

def count_shared(
    begins: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int32],
    some: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
    cells: int,
    out: npt.NDArray[np.int64],
) -> None: ...
def mark_new(
    begins_before: npt.NDArray[np.int64],
    before: npt.NDArray[np.int32],
    begins: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int32],
    cells: int,
    out: npt.NDArray[np.uint8],
) -> None: ...
def count_marked(
    begins: npt.NDArray[np.int64], marks: npt.NDArray[np.uint8], out: npt.NDArray[np.int64]
) -> None: ...
def add_up(
    begins: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int32],
    marks: npt.NDArray[np.uint8],
    unmarked: npt.NDArray[np.float64],
    marked: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None: ...
