"""A frame of categories of every kind, for models that are trained on these."""

import math

import numpy as np
import pandas as pd

random = np.random.default_rng(1)
STORES = random.choice([101, 205, 310, 422, 999], 600)
TOWNS = random.choice(np.array(["Köln", "Oslo", "東京", ""], object), 600)
SIZES = random.choice([0.5, 1.5, 2.5], 600)
FRAME = pd.DataFrame(
    {
        "z": random.normal(size=600),
        "store": pd.Categorical(STORES),
        "town": pd.Categorical(np.where(random.random(600) < 0.1, None, TOWNS)),
        "size": pd.Categorical(SIZES),
        "open": pd.Categorical(random.random(600) < 0.5),
        "count": random.integers(0, 3, 600),
    }
)
LABELS = (STORES == 205) * 3.0 - (STORES == 999) * 2 + (TOWNS == "Oslo") + (SIZES > 1) * FRAME["z"]
ASCII = FRAME["town"].cat.rename_categories({"Köln": "Koeln", "東京": "Tokyo"})
UNSEEN = FRAME.assign(
    store=pd.Categorical(np.where(random.random(600) < 0.2, 206, STORES)),
    town=pd.Categorical(np.where(random.random(600) < 0.2, "Rome", TOWNS)),
    size=pd.Categorical(np.where(random.random(600) < 0.2, math.nan, SIZES)),
)
