"""mIoU, pixel accuracy, negative log-likelihood and calibration error of one model on one shift."""

import numpy as np
import torch
from torch import Tensor

from flatqat.metrics.calibration import ECE_BINS
from flatqat.metrics.confusion import Confusions
from flatqat.metrics.rescored import pixel_scores, ratio_score
from flatqat.spec import IGNORED, Score

PIXELS = 2**18  # of one image at a time: float32 logits of 19 classes then take 20 MB
CONFIDENCE_BITS = 32
"""Confidences are counted in units of 2^-32. So their sums are integers, the same in any order.

A confidence is the largest of at most 255 probabilities, so above 2^-8, where float32 has no bits beyond the
31st: nothing is lost. The sum over an image stays below 2^63 up to 2^31 pixels, which no image has.
"""


def predicted(logits: Tensor, none: int) -> Tensor:
    """Return the class of each pixel, int64 (...), for logits (classes, ...); `none` where one is NaN."""
    return logits.argmax(0).masked_fill(logits.isnan().any(0), none)


class SegmentationMeter:
    """Counts pixels image by image on the model's device, a part of an image at a time.

    So the scores do not depend on the batch size, and memory does not grow with the images. Pixels labeled
    255 are ignored. A pixel with a NaN among its logits is wrong: a false negative of its class and a false
    positive of no class. The scores are:

    - `miou` and `iou/<class>`, in percent, of the confusion matrix summed over all images, see
      `flatqat.metrics.miou`. None for a class that neither occurs nor is predicted.
    - `pixel_accuracy`, in percent, and `nll`, the negative log-likelihood in nats: means over labeled pixels,
      so large images weigh more.
    - `ece`, the expected calibration error of labeled pixels in percent, with 15 bins.

    Standard errors are over images, by the infinitesimal jackknife, that of `miou` by the delete-one
    jackknife; `ece` has none. `nll` and `ece` are None if logits that are not finite leave them undefined.
    `n` is the number of images.
    """

    def __init__(self, classes: int, class_subset: tuple[int, ...] | None = None) -> None:
        if class_subset is not None:
            raise ValueError(f"expected a segmentation shift with all {classes} classes, got {class_subset}")
        self.classes = classes
        self._images: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """Add a batch of logits (B, classes, H, W) and int64 masks (B, H, W).

        Logits of any float type are converted to float32. Raises ValueError on other shapes, and on labels
        that are neither below `classes` nor 255.
        """
        if masks.ndim != 3 or logits.shape != (len(masks), self.classes, *masks.shape[1:]):
            shapes = f"{tuple(logits.shape)} and {tuple(masks.shape)}"
            raise ValueError(f"expected logits (B, {self.classes}, H, W) and masks (B, H, W), got {shapes}")
        masks = masks.to(logits.device)
        for image, mask in zip(logits.detach(), masks, strict=True):
            rows = max(1, PIXELS // mask.shape[1])
            pieces = zip(image.split(rows, 1), mask.split(rows), strict=True)
            counts, sums = zip(*(self._piece(*piece) for piece in pieces), strict=True)
            self._images.append((torch.stack(counts).sum(0), torch.stack(sums).sum(0)))

    def _piece(self, logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return two flat tensors with what the scores need from some rows of an image.

        The first has integers: the number of pixels by true and predicted class, where the last predicted
        class means none, and then for each bin of confidence the sum of (correct - confidence), in units of
        2^-CONFIDENCE_BITS. The second has, in float64, the sum of the NLL.
        """
        labeled = truth != IGNORED
        logits, truth = logits[:, labeled].float(), truth[labeled]
        columns = self.classes + 1
        pred = predicted(logits, self.classes)
        counts = torch.bincount(truth * columns + pred, minlength=self.classes * columns)
        if len(counts) > self.classes * columns:
            label = int(truth.max())
            raise ValueError(f"expected labels below {self.classes}, or {IGNORED} for none, got {label}")
        log_p = logits.log_softmax(0)
        nll = -log_p.gather(0, truth[None]).double().sum()
        confidence = log_p.amax(0).exp().double()
        inner_edges = torch.arange(1, ECE_BINS, device=logits.device, dtype=torch.float64) / ECE_BINS
        bin_index, one = torch.bucketize(confidence, inner_edges), 2**CONFIDENCE_BITS
        gap = (pred == truth) * one - (confidence * one).long()  # of a NaN the NLL tells
        gaps = gap.new_zeros(ECE_BINS).index_add_(0, bin_index, gap)
        return torch.cat([counts, gaps]), nll[None]

    def result(self) -> tuple[dict[str, Score], Confusions]:
        """Return the scores over all images, and the confusion matrix of each image in the order of `add`.

        Raises ValueError if no images were added.
        """
        if not self._images:
            raise ValueError("expected images, got none")
        counts, nlls = (torch.stack(part).cpu().numpy() for part in zip(*self._images, strict=True))
        counts, gaps = np.split(counts, [self.classes * (self.classes + 1)], axis=1)
        outcomes = Confusions.pack(counts.reshape(-1, self.classes, self.classes + 1))
        n, labeled = len(outcomes), outcomes.labeled_by_class.sum(axis=1)
        gap = sum(abs(sum(bin_gaps)) for bin_gaps in gaps.T.tolist())  # Python's integers never overflow
        ece = 100 * gap / (max(int(labeled.sum()), 1) << CONFIDENCE_BITS)
        has_ece = labeled.any() and not np.isnan(nlls).any()  # without a confidence there is no NLL either
        of_counts = pixel_scores(outcomes)
        of_logits = {
            "nll": ratio_score(nlls[:, 0], labeled),
            "ece": Score(value=ece if has_ece else None, n=n),
        }
        first = {name: of_counts.pop(name) for name in ("miou", "pixel_accuracy")}
        return first | of_logits | of_counts, outcomes
