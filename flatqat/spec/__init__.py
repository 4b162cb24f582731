"""The frozen values that everything else passes around. Standard library only."""

from flatqat.spec.cell import ADAPTATIONS, Adapt, Cell
from flatqat.spec.cost import Cost
from flatqat.spec.deployment import CodeFlips, Compared, Deployment, Exact, FileRun, Latency
from flatqat.spec.environment import Cuda, Environment
from flatqat.spec.flatness import (
    RESIDUAL_TOLERANCE,
    SPACES,
    Eigenvalue,
    Flatness,
    MeanRise,
    Space,
    SpaceFlatness,
    WorstRise,
)
from flatqat.spec.image import IGNORED, EvalTransform, Interpolation, Window
from flatqat.spec.protocol import Protocol, ScoringLog, ShiftInfo, SuiteData, TrainLog
from flatqat.spec.quant import QuantSpec
from flatqat.spec.reading import Args, FieldError, Stored
from flatqat.spec.recipe import Recipe
from flatqat.spec.record import SCHEMA, Record, Status
from flatqat.spec.scores import Score, Scores
