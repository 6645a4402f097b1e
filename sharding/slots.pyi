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
